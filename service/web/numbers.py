"""How numbers are written in a language."""

from service.web.texts import Texts

_COMMAS = str.maketrans(",.", ".,")


class Numbers:
    """Writes numbers in the language of some texts."""

    def __init__(self, t: Texts) -> None:
        self._sign, self._has_comma = t("share.percent"), t("dashboard.comma") == ","

    def number(self, value: float) -> str:
        """A number of things, or a mean of such."""
        text = f"{value:,.0f}" if value >= 10 or value == int(value) else f"{value:,.1f}"
        return self._localised(text)

    def decimal(self, value: float) -> str:
        """A number with two decimals."""
        return self._localised(f"{value:,.2f}")

    def hours(self, value: float) -> str:
        """A number of hours."""
        return self._localised(f"{value:,.1f}")

    def percent(self, value: float) -> str:
        """A share in percent."""
        digits = 1 if 0 < value < 0.1 or 0.9 < value < 1 else 0
        return self._localised(f"{100 * value:.{digits}f}") + self._sign

    def _localised(self, text: str) -> str:
        return text.translate(_COMMAS) if self._has_comma else text
