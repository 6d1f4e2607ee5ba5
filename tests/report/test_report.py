"""The page of a preset: what it says, that it is whole, and that a browser shows it."""

import base64
import itertools
import json
import re
import shutil
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from segtrans.config.runs import read_run, read_runs
from segtrans.data.images import read_images
from segtrans.data.store import DOMAINS, FOLDS, Store, StoreHeader, write_store
from segtrans.errors import UserError
from segtrans.figures.failures import find_failures
from segtrans.figures.of_task import write_figures
from segtrans.figures.panels import write_panel
from segtrans.figures.progress import write_progress
from segtrans.figures.style import DPI
from segtrans.methods.frames import Frames, make_frame
from segtrans.methods.weights import WEIGHTS, build_method, save_weights
from segtrans.report.page import write_report
from segtrans.report.table import write_table
from segtrans.score.evaluate import score_run

METHODS = ("segmentation_only", "autoencoder", "translation")
TITLES = ("Only segmentation", "AE baseline", "Proposed")
SOURCE = 'made up <script>alert("here")</script> & nothing else'


@dataclass(frozen=True)
class Preset:
    """A preset on disk: its runs, its data set and its page."""

    folders: list[Path]
    data: Path
    figures: Path
    page: Path

    def write(self, **changed):
        given = {"folders": self.folders, "data": [self.data], "figures": self.figures}
        write_report(*(given | changed).values(), self.page)
        return self.page


def make_run(write_run, store, method, seed, *, usage):
    """A real, untrained run, scored, with its panel."""
    folder = write_run(method, seed, sha256=store.sha256(), task=store.header.task)
    facts = json.loads((folder / "run.json").read_text())
    facts |= {"seconds": 100.0 + 20 * seed, "n_parameters": 12345}
    facts["data"] |= {"source": SOURCE, "parameters": {"noise_sd": 0.01}}
    (folder / "run.json").write_text(json.dumps(facts | usage))
    run = read_run(folder)
    weights = build_method(run.config).state_dict()
    for name in WEIGHTS.values():
        save_weights(folder / name, weights, run.config)
    score_run(folder, store.path, threshold=0.5)
    write_panel(folder, store.path)
    if method == "translation":
        write_frames(run, store)
        write_progress(folder)
    return folder


def write_frames(run, store):
    shown = np.arange(2)
    x, y = (
        torch.from_numpy(values)
        for values in (
            read_images(store, "valid", "present", shown),
            store.masks("valid", shown),
        )
    )
    frame = make_frame(build_method(run.config).eval(), x, 0)
    Frames.of(x, y, [frame]).write(run.folder / "frames.npz")


@pytest.fixture(scope="module")
def preset(tmp_path_factory, write_run_in, make_store_in):
    root = tmp_path_factory.mktemp("preset")
    store = make_store_in(root)()
    usage = {"usage": {"peak_memory_mb": 1234.0, "gpu_peak_memory_mb": None, "energy_wh": None}}
    folders = [
        make_run(
            write_run_in(root), store, method, seed, usage=usage if method == "translation" else {}
        )
        for method in METHODS
        for seed in (0, 1)
    ]
    return make_preset(root, folders, store)


def make_preset(root, folders, store):
    made = Preset(folders, store.path, root / "figures", root / "report.html")
    write_figures(folders, store.path, made.figures / store.header.task)
    made.write()
    return made


@dataclass
class Element:
    tag: str
    attributes: dict[str, str]
    text: str = ""


@dataclass
class Page(HTMLParser):
    """Elements in the order of their starts, each with all text inside; tags must balance."""

    elements: list[Element] = field(default_factory=list)
    open: list[Element] = field(default_factory=list)

    def __post_init__(self):
        super().__init__()

    def handle_starttag(self, tag, attrs):
        self.elements.append(Element(tag, dict(attrs)))
        if tag not in ("meta", "link", "img"):
            self.open.append(self.elements[-1])

    def handle_endtag(self, tag):
        assert self.open.pop().tag == tag

    def handle_data(self, data):
        for element in self.open:
            element.text += data

    def all(self, *tags):
        return [element for element in self.elements if element.tag in tags]

    def section(self, name):
        (found,) = [s for s in self.all("section") if s.attributes["id"] == name]
        return " ".join(found.text.split())


def parse(file):
    parsed = Page()
    parsed.feed(file.read_text(encoding="utf-8"))
    parsed.close()
    assert not parsed.open
    return parsed


@pytest.fixture(scope="module")
def page(preset):
    return parse(preset.page)


def test_it_is_well_formed_and_can_be_read_without_seeing_it(page):
    assert page.all("html")[0].attributes["lang"].startswith("en")
    assert len(page.all("h1")) == len(page.all("title")) == len(page.all("main")) == 1
    levels = [int(element.tag[1]) for element in page.all("h1", "h2", "h3", "h4")]
    assert all(after - before <= 1 for before, after in itertools.pairwise(levels))
    assert all(image.attributes["alt"] for image in page.all("img"))
    assert {th.attributes["scope"] for th in page.all("th")} == {"col", "row"}
    assert all(table.text.strip() for table in page.all("caption"))
    ids = [e.attributes["id"] for e in page.elements if "id" in e.attributes]
    assert len(ids) == len(set(ids))
    links = {a.attributes["href"] for a in page.all("a")}
    assert {link[1:] for link in links if link.startswith("#")} == set(ids)


def test_it_holds_all_that_it_shows(page):
    for element in page.elements:
        for name, value in element.attributes.items():
            if name in ("src", "href", "srcset", "data") and element.tag != "a":
                assert value.startswith("data:")
    for image in page.all("img"):
        start, content = image.attributes["src"].split(",")
        assert start == "data:image/png;base64"
        assert base64.b64decode(content, validate=True).startswith(b"\x89PNG")
    (style,) = page.all("style")
    assert "url(" not in style.text
    assert "@import" not in style.text
    assert not page.all("script", "iframe", "object")


def test_what_others_wrote_is_text(page, preset):
    assert SOURCE in page.section("provenance")
    assert "&lt;script&gt;" in preset.page.read_text()
    assert "alert" not in re.sub(r"&lt;script&gt;.*?&lt;/script&gt;", "", preset.page.read_text())


def test_it_asks_and_answers(page):
    text = page.section("answer").replace("\N{NO-BREAK SPACE}", " ")
    assert "With masks for 1 % of the training images with the target, does translation" in text
    assert "This is a reduced scale" in text
    assert "Too few seeds to answer: an interval needs at least 3 of both methods." in text
    assert "With fewer than 3 seeds, their spread is hardly known" in text
    for pair in ("AE baseline", "Only segmentation"), ("Proposed", "AE baseline"):
        words = rf"{pair[0]} minus {pair[1]}: \S+, 2 seeds \(\S+, \S+\); too few seeds"
        assert re.search(words, text)
    assert "is above" not in text


def test_the_papers_numbers_are_named_beside_its_own_tasks_alone(
    page, tmp_path, write_run, make_store_in
):
    (dice,) = [f.text for f in page.all("figcaption") if "bar at their mean" in f.text]
    assert "diamonds are the paper's" in dice
    assert "Paper" in [th.text for th in page.all("th")]
    store = make_store_in(tmp_path)(has_digits=False, task="photos")
    folders = [make_run(write_run, store, "segmentation_only", 0, usage={})]
    own = parse(make_preset(tmp_path, folders, store).page)
    (dice,) = [f.text for f in own.all("figcaption") if "bar at their mean" in f.text]
    assert "diamonds" not in dice
    assert "Paper" not in [th.text for th in own.all("th")]
    assert "reproduction" not in own.section("answer") + own.section("table")


def test_the_table_is_that_of_the_preset(page, preset, tmp_path):
    names = {f"output_{suffix}": tmp_path / f"table.{suffix}" for suffix in ("csv", "md", "json")}
    write_table(preset.folders, **names)
    header, _, *lines = names["output_md"].read_text().split("\n\n")[0].splitlines()
    shown = page.section("table")
    for line in (header, *lines):
        for config in line.strip("|").split("|")[1:]:
            assert config.strip().replace("**", "") in shown
    for point in names["output_md"].read_text().split("\n\n")[1].splitlines():
        if "script" not in point:
            assert point.removeprefix("- ").replace("`", "") in shown


def test_every_pair_of_rows_has_a_difference(page, preset):
    shown = page.section("differences")
    means = dict.fromkeys(TITLES, 0.0)
    for folder, title in zip(preset.folders, np.repeat(TITLES, 2), strict=True):
        scores = json.loads((folder / "metrics.json").read_text())["best"]["test"]
        means[title] += scores["false_positive_pixels_A_image_mean"] / 2
    for pair in (TITLES[1], TITLES[0]), (TITLES[2], TITLES[0]), (TITLES[2], TITLES[1]):
        line = rf"{pair[0]}{pair[1]}\S+too few seeds–([+−]?[\d.]+?)too few seeds2"
        (marked,) = re.findall(line, shown)
        difference = float(marked.replace("−", "-"))
        assert difference == pytest.approx(means[pair[0]] - means[pair[1]], abs=0.0501)
    assert any(means.values())


def test_figures_and_panels_of_each_row_are_there(page, preset):
    sources = {image.attributes["src"].split(",")[1] for image in page.all("img")}
    drawn = [preset.figures / "mnist48_simple" / f"{name}.png" for name in ("samples", "dice")]
    drawn += [folder / "panel.png" for folder in preset.folders if folder.name == "seed0"]
    drawn += [preset.folders[-2] / "progress.png"]  # of the method that translates, seed 0
    for file in drawn:
        assert base64.b64encode(file.read_bytes()).decode() in sources
    # And the learning curves, the forest plot, the failures.
    assert len(page.all("img")) == len(drawn) + 3


def test_cost_says_what_was_measured_and_what_was_not(page):
    text = page.section("cost")
    rows = [row.text for row in page.all("tr")]
    (of_translation,) = [r for r in rows if r.startswith("Proposed") and "1,000" in r]
    assert of_translation.startswith("Proposed212,3451,000110 s1,234not measured")
    (of_autoencoder,) = [r for r in rows if r.startswith("AE") and "1,000" in r]
    assert of_autoencoder.count("not measured") == 3
    assert "one after the other: 11.0 min" in text


def test_provenance_leads_back_to_commit_data_and_parameters(page, preset):
    text = page.section("provenance")
    for folder in preset.folders:
        run = read_run(folder)
        for fact in (run.config.identity, run.record.data.sha256, "c0ffee", "cpu (x86_64)"):
            assert fact in text
    assert "160 images of 40 digits labelled" in text
    assert '"lambda_cyc": 50.0' in text
    assert "torch2.13.0" in text


def test_the_same_results_give_the_same_bytes(preset):
    before = preset.page.read_bytes()
    preset.write(folders=preset.folders[::-1])
    assert preset.page.read_bytes() == before


def test_failures_are_the_worst_by_the_mean_of_all_runs(preset):
    runs = read_runs(preset.folders)
    failures = find_failures(runs, Store(preset.data))
    tables = [pd.read_csv(run.folder / "per_image.csv") for run in runs]
    tests = [table[table["fold"] == "test"] for table in tables]
    present = [t[t["domain"] == "present"].set_index("index")["dice_soft"] for t in tests]
    absent = [t[t["domain"] == "absent"].set_index("index")["predicted_pixels"] for t in tests]
    dice, pixels = (
        np.mean([series.to_numpy() for series in of], axis=0) for of in (present, absent)
    )
    np.testing.assert_allclose(failures.dice, np.sort(dice))
    np.testing.assert_allclose(dice[failures.present], failures.dice)
    np.testing.assert_allclose(failures.pixels, -np.sort(-pixels))
    np.testing.assert_allclose(pixels[failures.absent], failures.pixels)


def write_patients(path, cases):
    """A store of half-slices of patients, a pixel of lesion in each of P."""
    header = StoreHeader("brats", ("flair",), {}, "made up", "0" * 64, 0)
    n = len(cases)
    with write_store(path, header) as writer:
        for fold in FOLDS:
            for domain in DOMAINS:
                arrays = {"image": np.zeros((n, 1, 10, 10), np.uint8), "case_id": np.array(cases)}
                if domain == "present":
                    arrays["mask"] = np.eye(1, 100, dtype=np.uint8).reshape(1, 10, 10).repeat(n, 0)
                for key, values in arrays.items():
                    scale = 1.0 if key == "image" else None
                    writer.add(
                        fold, domain, key, shape=values.shape, dtype=values.dtype, scale=scale
                    ).append(values)
    return Store(path)


def test_of_a_patient_the_worst_half_slice_alone_is_a_failure(write_run, tmp_path):
    store = write_patients(tmp_path / "data.h5", [b"a"] * 3 + [b"b"] * 3 + [b"c"])
    folders = [
        write_run("autoencoder", seed, task="brats", sha256=store.sha256()) for seed in (0, 1)
    ]
    dice = np.array([0.10, 0.11, 0.05, 0.30, 0.20, 0.40, 0.50])
    pixels = np.array([1, 2, 3, 90, 80, 70, 50])
    for seed, folder in enumerate(folders):
        of_seed = dice + seed / 100
        common = {"fold": "test", "index": range(7), "soft_size": 1.0}
        present = {"domain": "present", "dice_soft": of_seed, "dice_hard": of_seed}
        present |= {"soft_overlap": of_seed, "lesion_pixels": 1, "predicted_pixels": 1}
        absent = {"domain": "absent", "lesion_pixels": 0, "predicted_pixels": pixels}
        tables = [pd.DataFrame(common | of_domain) for of_domain in (present, absent)]
        pd.concat(tables).to_csv(folder / "per_image.csv", index=False)
        metrics = json.loads((folder / "metrics.json").read_text())
        metrics["best"]["test"] |= {
            "dice_soft_pooled": of_seed.mean(),
            "dice_hard_image_mean": of_seed.mean(),
            "false_positive_pixels_A": int(pixels.sum()),
        }
        (folder / "metrics.json").write_text(json.dumps(metrics))
    failures = find_failures(read_runs(folders), store)
    assert failures.present.tolist() == [2, 4, 6]
    np.testing.assert_allclose(failures.dice, [0.055, 0.205, 0.505])
    assert failures.absent.tolist() == [3, 6, 2]
    assert failures.pixels.tolist() == [90, 50, 3]


_LESIONS = ",[^,]*,[^,]*,[^,]*"  # the columns behind predicted_pixels


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        (r"\A(.*\n.*\n)[\s\S]*", r"\1", "its images of test, present, are not those of the data"),
        ("^test,absent,5,", "test,absent,70000,", "its images of test, absent, are not those"),
        (
            f"^(test,present,2,.*),[^,]*({_LESIONS})$",
            r"\1,many\2",
            "predicted_pixels of image 2 .* is many",
        ),
        ("^(test,present,2,[^.]*),[^,]*", r"\1,-0.5", "dice_hard of image 2 .* is -0.5"),
        (
            f"^(test,absent,2,.*),[^,]*({_LESIONS})$",
            r"\1,9999\2",
            "predicted_pixels of image 2 .* 0 to 2304",
        ),
        ("index", "place", "lacks index"),
        (r"\A[\s\S]*", "", "cannot read it"),
    ],
)
def test_damaged_scores_of_images_are_one_line(preset, tmp_path, old, new, problem):
    folder = shutil.copytree(preset.folders[0], tmp_path / "run")
    file = folder / "per_image.csv"
    text = re.sub(old, new, file.read_text(), flags=re.MULTILINE)
    assert text != file.read_text()
    file.write_text(text)
    with pytest.raises(UserError, match=rf"per_image\.csv: {problem}.*evaluate the run again"):
        find_failures([read_run(folder)], Store(preset.data))


def test_scores_that_do_not_follow_from_those_of_the_images_are_refused(preset, tmp_path):
    folder = shutil.copytree(preset.folders[0], tmp_path / "run")
    metrics = json.loads((folder / "metrics.json").read_text())
    metrics["best"]["test"]["dice_soft_pooled"] += 1e-4
    (folder / "metrics.json").write_text(json.dumps(metrics))
    with pytest.raises(UserError, match=r"its dice_soft_pooled of test is .*metrics\.json"):
        find_failures([read_run(folder)], Store(preset.data))


def test_a_reconstruction_no_better_than_a_constant_is_said(page):
    # Nothing was trained here: the autoencoder's output is noise about zero.
    text = page.section("answer").replace("\N{NO-BREAK SPACE}", " ")
    assert "† Reconstruction no better than a constant: AE baseline (MNIST 48×48 simple), 2" in text
    assert "AE baseline †" in page.section("table")
    panels = [c.text for c in page.all("figcaption") if c.text.startswith("AE baseline, seed 0")]
    assert panels[0].endswith("Its reconstruction is no better than a constant.")


def test_it_says_whether_each_method_that_is_made_to_translates(page):
    text = page.section("answer")
    assert "Does it translate?" in text
    # Nothing was trained here.
    assert "Proposed: no: Dice of the residual 0." in text
    assert "AE baseline: no" not in text


def test_the_worst_images_are_named_with_their_digits(page, preset):
    store = Store(preset.data)
    digit = store.provenance("test", "present")["digit"]
    worst = find_failures(read_runs(preset.folders), store).present.tolist()
    shown = page.section("failures")
    assert "; ".join(f"{index} (digit {digit[index]})" for index in worst) in shown


def test_what_is_missing_is_one_line_that_says_what_to_do(preset, tmp_path, make_store):
    before = preset.page.read_bytes()
    with pytest.raises(UserError, match=r"samples\.png: cannot read .*segtrans figures"):
        preset.write(figures=tmp_path)
    with pytest.raises(UserError, match=r"no data set of its task mnist48_simple .*--data"):
        preset.write(data=[])
    with pytest.raises(UserError, match="not the data of"):
        preset.write(data=[make_store(side=52, name="other.h5").path])
    assert preset.page.read_bytes() == before


@pytest.mark.slow
@pytest.mark.skipif(
    not (shutil.which("chromium") and shutil.which("chromedriver")),
    reason="no browser: apt-get install chromium chromium-driver",
)
def test_a_browser_shows_it_offline_on_a_phone_and_on_a_screen(preset):
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    for argument in (
        *("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
        *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    ):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    service = webdriver.ChromeService(shutil.which("chromedriver"))
    browser = webdriver.Chrome(options=options, service=service)
    try:
        for width in (360, 400, 1280):
            size = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 500}
            browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
            browser.get(preset.page.as_uri())
            assert browser.execute_script("return innerWidth") == width
            assert browser.execute_script("return document.documentElement.scrollWidth") <= width
            shown = browser.execute_script(
                "return [...document.images].map(i => [i.complete, i.naturalWidth, i.width])"
            )
            assert len(shown) == 9
            for done, natural, drawn in shown:
                assert done
                # As large as it was drawn, on a phone too, or its letters could not be read.
                assert drawn == pytest.approx(natural * 96 / DPI, abs=1)
            letters = "return [...document.querySelectorAll('p, li, th, td, dd, code, figcaption')]"
            letters += ".map(e => parseFloat(getComputedStyle(e).fontSize))"
            assert min(browser.execute_script(letters)) > 11
            # A table that is wider than the page is scrolled in itself; its rows stay named.
            browser.execute_script(
                "document.querySelectorAll('.wide').forEach(w => w.scrollLeft = w.scrollWidth)"
            )
            names = "return [...document.querySelectorAll('tbody th')].map(n => n.checkVisibility()"
            names += " ? n.getBoundingClientRect().left : 0)"
            assert all(left >= 0 for left in browser.execute_script(names))
            asked = "return performance.getEntriesByType('resource').map(e => e.name)"
            fetched = [name for name in browser.execute_script(asked) if "data:" not in name[:5]]
            assert fetched == []
            assert browser.get_log("browser") == []
    finally:
        browser.quit()


def test_a_figure_that_other_runs_left_is_not_shown_and_goes(preset):
    page, folder = preset.write().read_bytes(), preset.figures / "mnist48_simple"
    shutil.copy(folder / "dice.png", folder / "labels.png")  # these runs do not differ in labels
    assert preset.write().read_bytes() == page
    write_figures(preset.folders, preset.data, folder)
    assert not (folder / "labels.png").exists()
