"""Kivy's text field, with the letters shaped as they are typed.

It draws line by line and asks for the width of what lies before the cursor; both are answered here with the line as it
is drawn. In a line that reads from the right the cursor goes from the right. Built on methods that Kivy keeps to
itself, of the very version that is pinned; a test types.
"""

from __future__ import annotations

from typing import Any

from kivy.uix.textinput import TextInput

from tech_app.core.shaping import drawn, reads_right_to_left


class Entry(TextInput):
    """`text` is as it is typed."""

    def _create_line_label(self, text: str, hint: bool = False) -> Any:
        return super()._create_line_label(drawn(text.replace("\n", "")), hint)

    def _get_text_width(self, text: str, tab_width: int, labels: Any) -> float:
        return float(super()._get_text_width(drawn(text.replace("\n", "")), tab_width, labels))

    def cursor_offset(self) -> float:
        """From the left end of the line to the cursor, in pixels."""
        before = float(super().cursor_offset())
        row = int(self.cursor_row)
        return self._get_row_width(row) - before if self._is_turned(row) else before

    def get_cursor_from_xy(self, x: float, y: float) -> tuple[int, int]:
        """Which letter of which line is touched."""
        column, row = super().get_cursor_from_xy(x, y)
        if not self._is_turned(row):
            return column, row
        line, whole = self._lines[row], self._get_row_width(row)
        spare = max(0.0, self.width - self.padding[0] - self.padding[2] - whole)
        right = self.x + self.padding[0] - self.scroll_x + whole
        right += {"right": spare, "center": spare / 2}.get(self.halign, 0.0)

        def away(column: int) -> float:
            return abs(right - self._get_text_width(line[:column], self.tab_width, self._label_cached) - x)

        return min(range(len(line) + 1), key=away), row

    def _is_turned(self, row: int) -> bool:
        return row < len(self._lines) and reads_right_to_left(self._lines[row])
