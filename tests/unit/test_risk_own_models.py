"""Models over features that an installation declared itself: named with their fingerprint, refused where they do not fit."""

from datetime import UTC, datetime

import msgspec
import numpy as np
import pytest

from tests.support.risk_models import CARD, artifact, booster, payments, small_model
from tillkeeper.risk import FEATURES, Catalogue, Force, Model, read_rules
from tillkeeper.risk.declarations import read_declarations
from tillkeeper.risk.loading import _opened
from tillkeeper.risk.models import (
    BadModelError,
    Own,
    Tails,
    as_text,
    open_model,
    own_among,
    pack,
    read,
    reasons,
    unpack,
)
from tillkeeper.risk.models.own import computed_as
from tillkeeper.risk.training import (
    LEARNABLE,
    UNUSUAL,
    Recipe,
    Sample,
    TrainingError,
    Wish,
    own_features,
    train,
)

TINY = """
[[feature]]
name = "mine_tiny_10m"
entity = "customer"
where = "amount < 100"
aggregate = "sum"
of = "amount"
past = true
window = "10m"
unit = "money"
zh = "十分钟内的小额"
en = "tiny amounts of ten minutes"
"""
SHARE = """
[[feature]]
name = "mine_share"
value = "mine_tiny_10m / (amount + 1)"
unit = "share"
zh = "小额占比"
en = "share of tiny amounts"
"""
RULES = 'reference = "CNY"\nother = 100\n[worth]\nCNY = 100\n'
WEEK = 7 * 86_400 * 1_000_000
START = 1_700_000_000_000_000
NOW = datetime(2026, 1, 1, tzinfo=UTC)
SMALL = Recipe(
    rounds=20, learning_rate=0.1, leaves=7, least_in_leaf=20, feature_share=1.0, seeds=1, features=8
)


def catalogue(text: str = TINY + SHARE) -> Catalogue:
    return FEATURES.with_(read_declarations(text, "mine.toml", tuple(FEATURES)))


def model_over(name: str, known: Catalogue) -> bytes:
    """The blob of a small model whose last feature is one of the installation's own."""
    features = ("amount", "ratio", "payee_frauds_7d", "hour", name)
    values, fraud = payments(1, 1000)
    made = artifact((booster(1, values, fraud, 5).model_to_string(),), features)
    return pack(msgspec.structs.replace(made, own=own_among(features, known)))


# -- the fingerprint


def test_a_fingerprint_is_of_how_it_is_computed_and_not_of_its_words() -> None:
    told = {name: computed_as(name, catalogue()) for name in ("mine_tiny_10m", "mine_share")}
    words = (TINY + SHARE).replace("tiny amounts of ten", "small amounts of ten").replace("占比", "比例")
    assert {name: computed_as(name, catalogue(words)) for name in told} == told
    for before, after in (("< 100", "< 101"), ('"10m"', '"11m"'), ("past = true", "past = false")):
        changed = catalogue((TINY + SHARE).replace(before, after))
        assert all(computed_as(name, changed) != told[name] for name in told), (
            "and of what is computed from it"
        )
    only = catalogue((TINY + SHARE).replace("amount + 1)", "amount + 2)"))
    assert computed_as("mine_tiny_10m", only) == told["mine_tiny_10m"]
    assert computed_as("mine_share", only) != told["mine_share"]


def test_a_fingerprint_stays_what_it_was() -> None:
    """It stands in models that are kept for years: a release that computed it otherwise would refuse them all."""
    assert computed_as("mine_share", catalogue()) == GOLDEN


GOLDEN = "b43f71f305eac9579ea5835a9229d8bc55ed3610d5abefe7506a156f150ddb0a"


# -- the blob


def test_a_model_without_own_features_is_the_bytes_of_always() -> None:
    blob = small_model()
    assert b'"own"' not in blob
    assert unpack(blob, FEATURES).own == ()


def test_a_model_names_its_own_features_and_opens_where_they_are_declared() -> None:
    blob = model_over("mine_share", catalogue())
    assert pack(read(blob)) == blob
    (own,) = read(blob).own
    assert (own.name, own.en, own.fingerprint) == ("mine_share", "share of tiny amounts", GOLDEN)
    assert open_model(blob, catalogue()).own == (own,)
    more = catalogue(
        '[[feature]]\nname = "other"\nvalue = "amount"\nunit = "money"\nzh = "x"\nen = "x"\n' + TINY + SHARE
    )
    assert open_model(blob, more).own == (own,)
    assert open_model(blob, set(read(blob).features)).own == (own,), (
        "a receipt holds the values: the names will do"
    )


@pytest.mark.parametrize(
    ("here", "said"),
    [
        ("", "reads mine_share, which was declared when it was made and is not computed here: declare it again"),
        (TINY, "reads mine_share, which was declared when it was made and is not computed here: declare it again"),
        ((TINY + SHARE).replace("< 100", "< 200"), "mine_share, which is declared differently .* train it again"),
        ((TINY + SHARE).replace("+ 1", "+ 2"), "mine_share, which is declared differently .* train it again"),
    ],
)  # fmt: skip
def test_a_model_is_refused_where_its_features_are_others(here: str, said: str) -> None:
    blob = model_over("mine_share", catalogue())
    for opening in (open_model, unpack):
        with pytest.raises(BadModelError, match=said):
            opening(blob, catalogue(here) if here else FEATURES)


def test_who_runs_keeps_a_model_open_only_while_all_it_reads_is_declared_as_it_was() -> None:
    known, rules = catalogue(), read_rules(RULES, "rules")
    model = Model(4, open_model(model_over("mine_share", known), known))
    force = Force.of(rules, model, catalogue=known)
    assert "mine_share" in force.columns
    more = catalogue(
        '[[feature]]\nname = "other"\nvalue = "amount"\nunit = "money"\nzh = "x"\nen = "x"\n' + TINY + SHARE
    )
    for here, kept in (
        (known, {4: model}),
        (more, {4: model}),
        (FEATURES, {}),
        (catalogue((TINY + SHARE).replace("< 100", "< 200")), {}),
    ):
        assert _opened(force, here) == kept


# -- training


def sample(columns: int, telling: int, *, count: int = 4000) -> Sample:
    """Payments in order of time, where one column tells fraud."""
    chance = np.random.default_rng(3)
    at = np.sort(chance.integers(START, START + 8 * WEEK, count))
    values = np.zeros((count, columns))
    values[:, telling] = chance.normal(size=count)
    fraud = chance.random(count) < 1 / (1 + np.exp(3 - 3 * values[:, telling]))
    return Sample(values, fraud, at + WEEK, at, chance.integers(0, 500, count), np.ones(count))


def wish(own: tuple[str, ...], known: Catalogue, *, anomaly: bool = False) -> Wish:
    return Wish("x", "anna", START, START + 10 * WEEK, WEEK, anomaly, own, known)


def test_a_model_learns_from_own_features_beside_those_of_the_package() -> None:
    known, own = catalogue(), ("mine_tiny_10m", "mine_share")
    asked = wish(own, known)
    assert asked.features == (*LEARNABLE, *own)
    trained = train(sample(len(asked.features), len(LEARNABLE)), asked, NOW, SMALL)
    assert "mine_tiny_10m" in trained.features
    assert "mine_share" not in trained.features, "it told nothing"
    assert [each.name for each in trained.own] == ["mine_tiny_10m"]
    assert trained.card.settings["with"] == "mine_tiny_10m, mine_share"
    assert open_model(trained.blob, known).features == trained.features
    with pytest.raises(BadModelError, match="mine_tiny_10m"):
        open_model(trained.blob, FEATURES)
    card = as_text(trained.card, trained.features, trained.sha256, trained.own)
    assert "Declared by the installation that made it: 1 of these" in card
    assert f"tiny amounts of ten minutes ({computed_as('mine_tiny_10m', known)[:12]})" in card


def test_nothing_changes_for_who_asks_for_no_own_feature() -> None:
    found = sample(len(LEARNABLE), 0)
    plain = train(found, wish((), FEATURES), NOW, SMALL)
    assert plain.blob == train(found, wish((), catalogue()), NOW, SMALL).blob
    assert (plain.own, "with" in plain.card.settings) == ((), False)
    assert "Declared by the installation" not in as_text(plain.card, plain.features, plain.sha256, plain.own)


def test_how_unusual_a_payment_is_may_read_own_features() -> None:
    asked = wish(("mine_tiny_10m",), catalogue(), anomaly=True)
    found = sample(len(UNUSUAL) + 1, len(UNUSUAL))
    trained = train(found, asked, NOW)
    assert trained.features == (*UNUSUAL, "mine_tiny_10m")
    assert [each.name for each in trained.own] == ["mine_tiny_10m"]
    scorer = open_model(trained.blob, catalogue())
    rows = np.zeros((2, len(trained.features)))
    rows[1, -1] = 40
    usual, strange = scorer.score(rows).tolist()
    assert usual < 0.9 < strange


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("amount", "amount comes with the package"),
        ("model_score", "model_score comes with the package"),
        ("mine_gone", "computes no feature 'mine_gone' of its own"),
    ],
)
def test_only_what_the_installation_computes_can_be_asked_for(name: str, said: str) -> None:
    assert own_features(["mine_share", "mine_share"], catalogue()) == ("mine_share",)
    with pytest.raises(TrainingError, match=said) as refused:
        own_features(["mine_share", name], catalogue())
    assert refused.value.remedy


# -- words


@pytest.mark.parametrize(
    ("language", "text"),
    [("en", "tiny amounts of ten minutes: CN¥12.00"), ("zh", "十分钟内的小额：¥12.00")],
)
def test_a_reason_says_an_own_feature_in_its_own_words(language: str, text: str) -> None:
    """With the words of the day the model was made, whatever became of the feature."""
    levels = (0.1, 0.5, 0.9)
    tails = Tails(levels, ((0.0, 0.0, 1.0),), (0.0, 1.0, 2.0))
    made = msgspec.structs.replace(
        artifact(()), features=("mine_tiny_10m",), body=tails, card=CARD, own=own_among(["mine_tiny_10m"], catalogue())
    )  # fmt: skip
    scorer = open_model(pack(made), {"mine_tiny_10m"})
    ((reason,),) = reasons(scorer, np.array([[1200.0]]), "CNY", language)
    assert (reason.feature, reason.value, reason.text) == ("mine_tiny_10m", 1200.0, text)


def test_own_features_say_their_unit() -> None:
    assert [type(each) for each in own_among(["amount", "mine_share"], catalogue())] == [Own]
    assert own_among(["mine_share"], catalogue())[0].unit == "share"
