"""The report as a reader has it: in a browser, offline, on a desk and on a phone."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pytest
from playwright.sync_api import Browser, Page

from lab.coldstart.record import FailureKind, Sample
from lab.report.compare.runs import compare_runs
from lab.report.compare.runs_out import write_comparison
from lab.report.formats.write import write_report
from lab.report.join.collect import collect
from lab.report.join.write import write_join
from lab.report.page.figures import lookup
from lab.report.summary import summarise
from lab.spec import Platform, StartKind
from tests.timing import wait_until
from tests.unit.report import synthetic
from tests.unit.report.synthetic import Script

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser_report")]

PHONE = 375
HALF_A_DESK = 800
DESK = 1280
LEAST_CONTRAST = 4.5


@dataclass
class Opened:
    page: Page
    complaints: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)


@contextmanager
def opened(
    browser: Browser,
    file: Path,
    *,
    width: int = DESK,
    scheme: Literal["light", "dark"] = "light",
    scripts: bool = True,
) -> Iterator[Opened]:
    context = browser.new_context(
        viewport={"width": width, "height": 800},
        color_scheme=scheme,
        java_script_enabled=scripts,
        reduced_motion="reduce",
    )
    page = context.new_page()
    found = Opened(page)
    page.on("console", lambda message: found.complaints.append(f"{message.type}: {message.text}"))
    page.on("pageerror", lambda error: found.complaints.append(str(error)))
    page.on("request", lambda request: found.requests.append(request.url))
    page.goto(file.as_uri())
    yield found
    context.close()


def spoil(sample: Sample) -> Sample:
    if sample.cell.variant == "slim" and sample.trial % 3 == 0:
        return synthetic.failed(sample, FailureKind.EARLY_EXIT, "It exited.", exit_code=1)
    if sample.cell.start_kind is StartKind.DISKCOLD:
        return synthetic.skipped(sample, "the page cache may not be dropped here")
    return sample


SHAPES = {
    "default": Script(),
    "on demand": Script(kinds=(StartKind.FRESH, StartKind.ONDEMAND, StartKind.PULL), blocks=6),
    "spoilt": Script(kinds=(StartKind.FRESH, StartKind.DISKCOLD, StartKind.PULL), edit=spoil),
    "no container": Script(process=True, compressed=False, blocks=6),
    "long names": Script(
        variants=("registry.example.com-team-a-very-long-image-name-2026.11.20", "onnx-slim"),
        blocks=4,
    ),
    "tiers": Script(tiers=("1024", "2048", "3072"), kinds=(StartKind.FRESH,), blocks=6),
    "empty": Script(stop_after=0),
}
EMULATED = "partly emulated"


def partly_emulated(folder: Path) -> Path:
    emulated = Script(platform=Platform.ARM64, emulated=True, blocks=3, edit=spoil)
    return synthetic.write_run(folder, *synthetic.mixed(Script(), emulated))


@pytest.fixture(scope="module", params=[*SHAPES, EMULATED])
def report(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report") / "run"
    if request.param == EMULATED:
        return write_report(partly_emulated(folder))
    return write_report(synthetic.write(folder, SHAPES[request.param]))


@pytest.fixture(scope="module")
def default(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_report(synthetic.write(tmp_path_factory.mktemp("report") / "run"))


def figures(page: Page) -> Sequence[tuple[str, str, str]]:
    found: list[list[str]] = page.eval_on_selector_all(
        "data[data-path]", "all => all.map(one => [one.dataset.path, one.value, one.textContent])"
    )
    return [(path, value, text) for path, value, text in found]


def test_no_error_no_request_and_every_figure_is_that_of_the_file(
    browser: Browser, report: Path
) -> None:
    document = synthetic.as_json(report.parent / "summary.json")
    with opened(browser, report) as found:
        shown = figures(found.page)
        assert found.complaints == []
        assert [url for url in found.requests if not url.startswith("data:")] == [report.as_uri()]
    assert shown
    for path, value, text in shown:
        expected = lookup(document, path)
        told = [float(part) for part in value.split(",")]
        assert told == (expected if isinstance(expected, list) else [expected]), path
        assert text.strip()


def test_every_row_and_comparison_of_totals_is_on_the_page(browser: Browser, default: Path) -> None:
    document = synthetic.as_json(default.parent / "summary.json")
    with opened(browser, default) as found:
        paths = {path for path, _, _ in figures(found.page)}
    for place in range(len(document["rows"])):
        assert f"/rows/{place}/total_s/p50" in paths
        assert f"/rows/{place}/n" in paths
        for phase in document["rows"][place]["phases_s"]:
            assert f"/rows/{place}/phases_s/{phase}" in paths
    for place in range(len(document["comparisons"])):
        assert f"/comparisons/{place}/ratio" in paths


def test_the_words_of_a_figure_are_its_value(browser: Browser, default: Path) -> None:
    with opened(browser, default) as found:
        shown = figures(found.page)
    for path, value, text in shown:
        if path.endswith("/total_s/p50"):
            number, unit = text.split()
            told = float(number) / (1000 if unit == "ms" else 1)
            assert told == pytest.approx(float(value), rel=0.006)


def overflowing(page: Page) -> Any:
    """What sticks out to the right, less what scrolls or is cut inside a box of its own."""
    return page.evaluate(
        """() => {
          const wide = document.documentElement.clientWidth;
          const inside = one => one.closest('.scroll, nav ul, .seg, #tip');
          const all = [...document.body.querySelectorAll('*')];
          return [document.documentElement.scrollWidth - wide, all
            .filter(one => !inside(one) && one.getBoundingClientRect().right > wide + 1)
            .map(one => one.outerHTML.slice(0, 120))];
        }"""
    )


def test_nothing_overflows_on_a_phone(browser: Browser, report: Path) -> None:
    with opened(browser, report, width=PHONE) as found:
        found.page.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
        assert overflowing(found.page) == [0, []]


def test_on_half_a_desk_all_contents_are_seen_and_lead_to_headings_that_are_seen(
    browser: Browser, report: Path
) -> None:
    with opened(browser, report, width=HALF_A_DESK) as found:
        links = found.page.locator("nav a")
        for link in links.all():
            at = link.bounding_box()
            assert at is not None
            assert at["x"] + at["width"] <= HALF_A_DESK
        for link in links.all():
            link.click()
            contents = found.page.locator("nav").bounding_box()
            heading = found.page.locator(f"{link.get_attribute('href')} h2").bounding_box()
            assert contents is not None
            assert heading is not None
            assert heading["y"] >= contents["y"] + contents["height"]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_is_readable_in_light_and_dark(
    browser: Browser, default: Path, scheme: Literal["light", "dark"]
) -> None:
    with opened(browser, default, scheme=scheme) as found:
        poor = found.page.evaluate(CONTRAST, LEAST_CONTRAST)
        assert poor == []
        ground = found.page.evaluate("getComputedStyle(document.body).backgroundColor")
    light = sum(int(part) for part in ground.strip("rgb()").split(",")) / 3
    assert (light < 60) is (scheme == "dark")


def test_the_theme_can_be_chosen_by_hand(browser: Browser, default: Path) -> None:
    with opened(browser, default) as found:
        page = found.page
        ground = "getComputedStyle(document.body).backgroundColor"
        before = page.evaluate(ground)
        page.click("#theme")
        assert page.inner_text("#theme") == "Theme: light"
        page.click("#theme")
        assert page.evaluate(ground) != before

        def remembered() -> bool:  # a browser writes down what to remember in its own time
            page.reload()
            return page.inner_text("#theme") == "Theme: dark"

        wait_until(remembered, otherwise=lambda: page.inner_text("#theme"))


def test_bars_fill_their_length_and_shares_fill_the_track(browser: Browser, default: Path) -> None:
    widths = """() => [...document.querySelectorAll('.bar')].map(bar => {
      const parts = [...bar.children].map(one => one.getBoundingClientRect());
      const box = bar.getBoundingClientRect();
      const track = bar.parentElement.getBoundingClientRect();
      return [box.width, parts.at(-1).right - parts[0].left, track.width];
    })"""
    with opened(browser, default) as found:
        for whole, parts, _ in found.page.evaluate(widths):
            assert parts == pytest.approx(whole, abs=1.5)
        found.page.click("[data-share]")
        for whole, _, track in found.page.evaluate(widths):
            assert whole == pytest.approx(track, abs=1.5)


def test_labels_of_the_scatter_plots_do_not_cover_each_other(
    browser: Browser, report: Path
) -> None:
    for width in (PHONE, DESK):
        with opened(browser, report, width=width) as found:
            covered = found.page.evaluate(
                """() => [...document.querySelectorAll('figure svg')].flatMap(svg => {
                  const all = [...svg.querySelectorAll('text.name')].map(
                    one => [one.textContent, one.getBoundingClientRect()]);
                  return all.flatMap(([a, x], i) => all.slice(i + 1).filter(([, y]) =>
                    x.left < y.right - 2 && y.left < x.right - 2 &&
                    x.top < y.bottom - 3 && y.top < x.bottom - 3).map(([b]) => `${a} on ${b}`));
                })"""
            )
            assert covered == []


def test_a_phase_tells_its_figures_when_pointed_at(browser: Browser, default: Path) -> None:
    with opened(browser, default) as found:
        segment = found.page.locator(".seg.imports").first
        # What scrolls hides the tip, so the scrolling must be over before the pointer comes.
        segment.scroll_into_view_if_needed()
        # Its events come before what is done at the next frame.
        found.page.evaluate(
            "() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))"
        )
        segment.hover()
        assert found.page.locator("#tip.on").inner_text().startswith("imports: 2.")


def test_the_page_reads_well_without_scripts(browser: Browser, default: Path) -> None:
    with opened(browser, default, scripts=False) as found:
        assert found.page.locator("h1").inner_text().startswith("onnx-slim is ready")
        assert not found.page.locator("#theme").is_visible()


def test_plots_and_tables_have_names_for_those_who_cannot_see(
    browser: Browser, report: Path
) -> None:
    with opened(browser, report) as found:
        page = found.page
        assert (
            page.eval_on_selector_all(
                "table", "all => all.filter(one => !one.caption?.textContent.trim()).length"
            )
            == 0
        )
        assert (
            page.eval_on_selector_all(
                "[role=img]", "all => all.filter(one => !one.getAttribute('aria-label')).length"
            )
            == 0
        )
        assert page.locator("h1").count() == 1


def test_a_comparison_of_two_runs_is_sound_too(browser: Browser, tmp_path: Path) -> None:
    first = synthetic.write(tmp_path / "first")
    second = synthetic.write(tmp_path / "second", Script(seed=9, engine={"name": "Engine 28"}))
    comparison = compare_runs(summarise(first), summarise(second))
    file = write_comparison(comparison, second)
    document = comparison.model_dump(mode="json")
    with opened(browser, file, width=PHONE) as found:
        assert found.complaints == []
        assert overflowing(found.page) == [0, []]
        shown = figures(found.page)
        assert shown
        for path, value, _ in shown:
            expected = lookup(document, path)
            told = [float(part) for part in value.split(",")]
            assert told == (expected if isinstance(expected, list) else [expected])


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_runs_joined_side_by_side_are_sound_too(
    browser: Browser, tmp_path: Path, scheme: Literal["light", "dark"]
) -> None:
    graviton = Script(
        id="20261121T100000Z-default",
        platform=Platform.ARM64,
        engine={"platform": "linux/arm64"},
        host={"machine": "aarch64", "hostname": "graviton"},
    )
    runs = partly_emulated(tmp_path / "x86"), synthetic.write(tmp_path / "arm", graviton)
    _, file = write_join(collect([str(run) for run in runs]), tmp_path / "join")
    document = synthetic.as_json(tmp_path / "join" / "join.json")
    with opened(browser, file, width=PHONE, scheme=scheme) as found:
        page = found.page
        page.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
        assert found.complaints == []
        assert overflowing(page) == [0, []]
        assert page.evaluate(CONTRAST, LEAST_CONTRAST) == []
        shown = figures(page)
        assert len(shown) > len(document["quotients"]) > 0
        for path, value, _ in shown:
            expected = lookup(document, path)
            told = [float(part) for part in value.split(",")]
            assert told == (expected if isinstance(expected, list) else [expected])


CONTRAST = """least => {
  const canvas = document.createElement('canvas').getContext('2d', { willReadFrequently: true });
  const rgb = (colour, under) => {
    canvas.globalAlpha = 1; canvas.fillStyle = `rgb(${under})`; canvas.fillRect(0, 0, 1, 1);
    canvas.fillStyle = colour; canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data].slice(0, 3);
  };
  const luminance = parts => parts.map(one => one / 255)
    .map(one => one <= .04045 ? one / 12.92 : ((one + .055) / 1.055) ** 2.4)
    .reduce((sum, one, i) => sum + one * [.2126, .7152, .0722][i], 0);
  const ground = one => {
    const above = [];
    for (let each = one; each; each = each.parentElement) above.unshift(each);
    return above.reduce((under, each) => rgb(getComputedStyle(each).backgroundColor, under),
      [255, 255, 255]);
  };
  const poor = new Map();
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let text = walker.nextNode(); text; text = walker.nextNode()) {
    const one = text.parentElement;
    if (!text.textContent.trim() || !one.checkVisibility()) continue;
    if (one.closest('script, style, #tip')) continue;
    const style = getComputedStyle(one);
    const under = ground(one);
    const a = luminance(rgb(one.closest('svg') ? style.fill : style.color, under));
    const b = luminance(under);
    const ratio = (Math.max(a, b) + .05) / (Math.min(a, b) + .05);
    if (ratio < least) poor.set(`${one.className?.baseVal ?? one.className} ${one.tagName}`,
      `${text.textContent.trim().slice(0, 30)}: ${ratio.toFixed(2)}`);
  }
  return [...poor];
}"""
