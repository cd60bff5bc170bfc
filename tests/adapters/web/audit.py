"""Accessibility findings for the current page: axe-core's, and overflow."""

from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Page

OPTIONS = {"resultTypes": ["violations"], "rules": {"target-size": {"enabled": True}}}
PLAIN = """() => {
  for (const node of document.querySelectorAll("body, .composer")) node.style.background = "var(--bg)";
  for (const node of document.querySelectorAll(".top, .composer")) node.style.position = "static";
}"""
"""axe gives no verdict on text above a gradient, and takes what lies below the header or the input for too small."""


async def audit(page: Page) -> list[str]:
    """One line for each finding."""
    await page.evaluate(PLAIN)
    told = (await Axe().run(page, options=OPTIONS)).response["violations"]
    found = [f"{one['id']}: {node['html'][:120]}" for one in told for node in one["nodes"]]
    wide = await page.evaluate("document.documentElement.scrollWidth - innerWidth")
    return [*found, f"wider than the screen by {wide} px"] if wide > 0 else found
