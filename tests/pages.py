"""What the pages of documentation hold."""

import re


def blocks(page, language):
    """The code blocks of a page that are said to be in this language."""
    return re.findall(rf"```{language}\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
