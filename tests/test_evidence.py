"""The page of evidence says what the result files say, and what docstrings recommend is borne out by them."""

import json
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


@pytest.mark.parametrize("name", evidence.STUDIES)
def test_every_result_file_carries_every_field(name):
    result = json.loads((evidence.RESULTS / name / "result.json").read_text())
    assert {"study", "settings", "python", "versions", "device", "commit", "uncommitted_changes", "runs"} <= set(result)
    assert result["study"] == name
    assert {"jax", "flax", "optax", "numpy"} <= set(result["versions"])
    for run in result["runs"].values():
        assert {"seconds", "cpu_seconds", "test"} <= set(run)


@pytest.mark.parametrize("name", ["randman", "depth", "dynamic_range"])
def test_every_surrogate_was_chosen_and_tested_with_ten_seeds(several, name):
    result = several[name]
    assert len(result["settings"]["seeds"]) >= 10
    assert not set(result["settings"]["seeds"]) & set(result["settings"]["choosing_seeds"])
    names = took_part(result)
    assert {"LogTailedRelu", "LeakyRelu", "InvSquareGrad", "Sigmoid", "Arctan"} <= set(names)
    for key, run in result["runs"].items():
        surrogate, _, what = key.partition(", ")
        assert all(text.startswith(f"{surrogate}(") for text in run["surrogates"])
        grid = result["runs"][f"{surrogate}, grid"]["surrogates"]
        assert len(set(grid)) >= 4
        assert run["surrogates"] == grid if what in ("grid", "every alpha") else run["surrogates"][0] in grid


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
    assert re.search(r"AMD EPYC.*\. Cube: \d+ minutes, \d+ of processor time, on a new one beside", section)
    assert "Cube" not in evidence.steadiest(evidence.gaps(more))
    assert set(evidence.gaps(more)["Cube"]) < set(evidence.gaps(more)["Arctan"])
    assert "of 24 " in evidence.standings_table(more)
    assert evidence.page(more)


def test_ten_seeds_on_real_data_too(several):
    best = [
        several[name]["runs"][f"{surrogate}, best"]["test"][0]
        for name in ("speech", "vowels")
        for surrogate in took_part(several[name])
    ]
    learned = [run["test"] for run in several["learn_alpha"]["runs"].values()]
    assert {len(seeds) for settings in (*best, *learned) for seeds in settings} == {10}


def test_a_number_of_the_page_by_hand(several):
    """Mean and standard deviation of ten accuracies, by the standard library, stand in the row of their surrogate."""
    result = several["randman"]
    for name in ("InvSquareGrad", "LogTailedRelu", "SquarewaveFourierSeries"):
        run = result["runs"][f"{name}, best"]
        row = next(line for line in PAGE.read_text().splitlines() if line.startswith(f"| `{run['surrogates'][0]}`"))
        for accuracies, cell in zip(run["test"][0], row.split("|")[2:], strict=False):
            assert cell.strip() == f"{statistics.mean(accuracies):.3f} ± {statistics.stdev(accuracies):.3f}"


def test_what_was_chosen_is_the_best_by_validation(several):
    for name in took_part(several["randman"]):
        grid, best = (several["randman"]["runs"][f"{name}, {what}"] for what in ("grid", "best"))
        middle = several["randman"]["settings"]["scales"].index(several["randman"]["settings"]["chosen_at"])
        means = [statistics.mean(seeds[middle]) for seeds in grid["validation"]]
        chosen = grid["surrogates"].index(best["surrogates"][0])
        assert means[chosen] == pytest.approx(max(means))


def test_a_claim_can_fail(several):
    """Each claim is computed: with the accuracies turned round, claims that held do not."""

    def turned(tree):
        return [turned(branch) for branch in tree] if isinstance(tree, list) else 1 - tree

    for name in ("randman", "depth", "dynamic_range"):
        runs = {key: run | {"test": turned(run["test"])} for key, run in several[name]["runs"].items()}
        before = [claim.holds for claim in evidence.report(name).claims(several[name])]
        after = [claim.holds for claim in evidence.report(name).claims(several[name] | {"runs": runs})]
        assert before != after, name


def by_alpha(run, pick):
    """Mean accuracies of LogTailedRelu by alpha, of what ``pick`` takes of a surrogate's results."""
    names = run.get("surrogates") or run["points"]
    return {float(evidence.alpha(f)): statistics.mean(pick(test)) for f, test in zip(names, run["test"], strict=True)}


def alphas_by_study(several):
    """In networks of one or two hidden layers, and in deep ones at the best gain of each alpha."""
    middle = several["randman"]["settings"]["scales"].index(several["randman"]["settings"]["chosen_at"])
    every = {
        name: several[name]["runs"]["LogTailedRelu, every alpha"]
        for name in evidence.STUDIES
        if name in ("randman", "dynamic_range", "speech", "vowels")
    }
    shallow = {"randman": by_alpha(every.pop("randman"), lambda test: test[middle])}
    shallow |= {name: by_alpha(run, lambda test: test[0]) for name, run in every.items()}
    deep = by_alpha(several["depth"]["runs"]["LogTailedRelu, grid"], lambda test: [max(map(statistics.mean, test))])
    return shallow, deep


def test_the_docstring_recommends_what_was_measured(several):
    """`LogTailedRelu`: 0.01 for shallow networks, 0.1 for deep ones, more for none; and who is better in depth."""
    shallow, deep = alphas_by_study(several)
    for name, means in shallow.items():
        assert means[0.01] >= means[0.0] - 0.015, name
        assert max(means[alpha] for alpha in means if alpha > 0.1) <= max(
            means[alpha] for alpha in means if alpha <= 0.1
        ), name
    assert shallow["speech"][0.1] < shallow["speech"][0.01] - 0.1
    assert deep[0.1] > max(deep[0.0], deep[0.01]) + 0.05
    assert deep[0.3] <= deep[0.1]
    dead = several["randman"]["runs"]["LogTailedRelu, every alpha"]
    assert min(map(min, dead["test"][dead["surrogates"].index("LogTailedRelu(alpha=0.01)")])) > 0.15
    at = several["depth"]["settings"]["chosen_at"]
    means = {
        name: statistics.mean(several["depth"]["runs"][f"{name}, {at} layers"]["test"][0][0])
        for name in took_part(several["depth"])
    }
    assert min(means[name] for name in ("PiecewiseExp", "GaussianGrad", "Arctan")) > means["LogTailedRelu"] + 0.05
    assert means["LogTailedRelu"] > means["LeakyRelu"] + 0.2
    vowels = several["vowels"]["runs"]
    mean = {name: statistics.mean(vowels[f"{name}, best"]["test"][0][0]) for name in ("LogTailedRelu", "LeakyRelu")}
    assert mean["LogTailedRelu"] > mean["LeakyRelu"] + 0.2


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
