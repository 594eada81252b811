"""The page of evidence says what the result files say: its numbers, recomputed, and its sentences, which can fail."""

import re
import statistics

import pytest

from benchmarks.lib.report import took_part
from benchmarks.pages import evidence

PAGE = evidence.ROOT / "docs/evidence.md"
STUDIES_OF_THE_FAMILY = ("randman", "depth", "dynamic_range", "speech", "vowels")


@pytest.fixture(scope="module")
def several():
    return evidence.load()


def test_page_is_that_of_the_result_files(several):
    assert PAGE.read_text() == evidence.page(several), "run `make evidence`"


def test_pictures_are_there():
    text = PAGE.read_text()
    pictures = list(evidence.PICTURES.glob("*.png"))
    assert pictures
    assert all(f"(pictures/evidence/{picture.name})" in text for picture in pictures)


def test_who_did_not_take_part_is_named(several, monkeypatch):
    family = took_part(several["randman"])
    monkeypatch.setattr(evidence, "GRID", family)
    assert "Did not take part" not in evidence.page(several)
    monkeypatch.setattr(evidence, "GRID", [*family, "Cube"])
    page = evidence.page(several)
    assert page.count("Did not take part: `Cube`.") == len(STUDIES_OF_THE_FAMILY)
    assert "(but for those that a study names as absent)" in page
    section = evidence.section("learn_alpha", several["learn_alpha"])
    assert "Did not take part" not in section


def test_a_newcomer_on_another_machine_is_compared_where_it_took_part(several):
    """Added to one study alone: it stands in that table, with its own machine, and is not called the steadiest."""
    result = several["randman"]
    runs = {
        key.replace("Arctan", "Cube"): run | {"environment": evidence.environment_of(result) | {"device": "a new one"}}
        for key, run in result["runs"].items()
        if key.startswith("Arctan, ")
    }
    more = several | {"randman": result | {"runs": result["runs"] | runs}}
    section = evidence.section("randman", more["randman"])
    machine = re.escape(result["device"])
    assert re.search(rf"{machine}.*\. Cube: \d+ minutes, \d+ of processor time, on a new one beside", section)
    assert "Cube" not in evidence.steadiest(evidence.gaps(more))
    assert set(evidence.gaps(more)["Cube"]) < set(evidence.gaps(more)["Arctan"])
    assert f"of {len(took_part(result)) + 1} " in evidence.standings_table(more)
    assert evidence.page(more)


def test_a_number_of_the_page_by_hand(several):
    """Mean and standard deviation of ten accuracies, by the standard library, stand in the row of their surrogate."""
    result = several["randman"]
    page = evidence.page(several)
    for name in ("InvSquareGrad", "LogTailedRelu", "SquarewaveFourierSeries"):
        run = result["runs"][f"{name}, best"]
        row = next(line for line in page.splitlines() if line.startswith(f"| `{run['surrogates'][0]}`"))
        for accuracies, cell in zip(run["test"][0], row.split("|")[2:], strict=False):
            assert cell.strip() == f"{statistics.mean(accuracies):.3f} ± {statistics.stdev(accuracies):.3f}"


def test_a_claim_can_fail(several):
    """Each claim is computed: with the accuracies turned round, claims that held do not."""

    def turned(tree):
        return [turned(branch) for branch in tree] if isinstance(tree, list) else 1 - tree

    for name in ("randman", "depth", "dynamic_range"):
        runs = {key: run | {"test": turned(run["test"])} for key, run in several[name]["runs"].items()}
        before = [claim.holds for claim in evidence.report(name).claims(several[name])]
        after = [claim.holds for claim in evidence.report(name).claims(several[name] | {"runs": runs})]
        assert before != after, name


def test_the_readme_counts_what_the_tables_show(several):
    """In how many settings LogTailedRelu is first or near, recomputed; and a surrogate that is best would be named."""
    means = [{name: statistics.mean(v[1]) for name, v in values.items()} for _, values in evidence.standings(several)]
    behind = {name: [max(at.values()) - at[name] for at in means] for name in means[0]}
    text = " ".join(evidence.readme(several).split("\n\n")[0].split())
    best, near = (sum(gap <= limit for gap in behind["LogTailedRelu"]) for limit in (0, 0.01))
    assert f"is the best in {best} of {len(means)} settings, and within a point of the best in {near}." in text
    order = sorted(behind, key=lambda name: max(behind[name]))
    assert f"take `{order[0]}`, `{order[1]}` or `{order[2]}`" in text
    assert f"never more than {100 * max(behind[order[2]]):.1f} points behind" in text
    assert evidence.standings_table(several) in evidence.readme(several)
