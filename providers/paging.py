"""Reading a reply page by page, to the end or not at all."""

from collections.abc import Callable, Iterator
from typing import TypeVar

from finops.errors import Terminal, Transient

Page = TypeVar("Page")

MOST_PAGES = 10_000


def pages(
    ask: Callable[[str | None], tuple[Page, str | None]], what: str, most: int = MOST_PAGES
) -> Iterator[Page]:
    """Yield what `ask(token)` answers, first with `None`, then with each token it gives.

    `ask` returns the page and the token of the next one, or `None` at the end. `what` is what
    messages call the reply. Raises `Transient` when a token comes again: the rest would never
    come; raises `Terminal` after `most` pages.
    """
    token: str | None = None
    seen: set[str] = set()
    for _ in range(most):
        page, token = ask(token)
        yield page
        if not token:
            return
        if token in seen:
            raise Transient(
                f"{what}: page {len(seen) + 2} is one that was read before (the same page token "
                f"came twice), so its end cannot be reached; nothing was taken, try again"
            )
        seen.add(token)
    raise Terminal(f"{what}: has more than {most} pages; ask for fewer days at a time")
