"""How numbers are written in a language."""

from service.web.texts import Texts


class Numbers:
    """Writes numbers in the language of some texts."""

    def __init__(self, t: Texts) -> None:
        self._write, self._sign = t.number, t("share.percent")

    def number(self, value: float) -> str:
        """A number of things, or a mean of such."""
        return self._write(value, 0 if value >= 10 or value == int(value) else 1)

    def decimal(self, value: float) -> str:
        """A number with two decimals."""
        return self._write(value, 2)

    def hours(self, value: float) -> str:
        """A number of hours."""
        return self._write(value, 1)

    def percent(self, value: float) -> str:
        """A share in percent."""
        digits = 1 if 0 < value < 0.1 or 0.9 < value < 1 else 0
        return self._write(100 * value, digits) + self._sign
