"""What the containers are given of the settings that there are."""

import re
from pathlib import Path

from service.settings import Settings, variable

ROOT = Path(__file__).parent.parent
OF_PLACES = {"host", "port", "data_dir", "models"}


def test_every_setting_but_those_of_places_is_passed_on():
    told = (ROOT / "docker-compose.yml").read_text("utf-8")
    passed = set(re.findall(r"^ +(DUYET_\w+): \$\{", told, re.M))

    assert passed == {variable(field) for field in Settings.model_fields if field not in OF_PLACES}
