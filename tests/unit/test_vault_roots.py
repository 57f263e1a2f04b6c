"""Root keys: a wrong, damaged or missing file is told, nothing is replaced, and a new one leaves the old readable."""

from pathlib import Path

import pytest

from tillkeeper.base.settings import Settings
from tillkeeper.vault import FileRoot, RootKey, RootKeyError, SplitRoot, TransitRoot, Wrapped, root_of

PLACE = b"C2|data|1"
SECRET = b"s" * 32


def roots_in(folder: Path) -> list[RootKey]:
    return [FileRoot(folder / "root.key"), SplitRoot(folder / "anna" / "share", folder / "bela" / "share")]


@pytest.fixture(params=["file", "split"])
async def root(request: pytest.FixtureRequest, tmp_path: Path) -> RootKey:
    made = dict(zip(("file", "split"), roots_in(tmp_path), strict=True))[request.param]
    await made.make()
    return made


def files_of(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


async def test_what_is_wrapped_unwraps_at_its_place(root: RootKey) -> None:
    wrapped = await root.wrap(SECRET, PLACE)
    assert await root.unwrap(wrapped, PLACE) == SECRET
    assert SECRET not in wrapped.secret
    for other in (b"C3|data|1", b"C2|index|1", b"C2|data|2"):
        with pytest.raises(RootKeyError, match="changed in the database"):
            await root.unwrap(wrapped, other)
    with pytest.raises(RootKeyError, match="changed in the database"):
        await root.unwrap(Wrapped(wrapped.root, wrapped.secret[:-1]), PLACE)


async def test_made_once_it_says_what_its_loss_means(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for root in roots_in(tmp_path):
        await root.make()
        await root.make()
        assert caplog.text.count("can ever be opened again") == 1
        caplog.clear()


async def test_made_again_it_is_the_same(root: RootKey, tmp_path: Path) -> None:
    before = [path.read_bytes() for path in files_of(tmp_path)]
    await root.make()
    assert [path.read_bytes() for path in files_of(tmp_path)] == before
    assert all(path.stat().st_mode & 0o077 == 0 for path in files_of(tmp_path))


async def test_a_new_root_key_leaves_the_old_readable_until_it_is_retired(
    root: RootKey, tmp_path: Path
) -> None:
    old = await root.wrap(SECRET, PLACE)
    await root.renew({old.root})
    new = await root.wrap(SECRET, PLACE)
    assert new.root != old.root
    await root.renew({old.root})  # killed in between and begun again: no third key
    assert (await root.wrap(SECRET, PLACE)).root == new.root
    assert await root.unwrap(old, PLACE) == await root.unwrap(new, PLACE) == SECRET
    said = await root.retire()
    kept = [path for path in files_of(tmp_path) if ".old-" in path.name]
    assert kept
    assert all(str(path) in said for path in kept)
    again = {type(each): each for each in roots_in(tmp_path)}[type(root)]
    assert await again.unwrap(new, PLACE) == SECRET
    with pytest.raises(RootKeyError, match=f"wrapped by root key {old.root}"):
        await again.unwrap(old, PLACE)
    for path in kept:
        path.rename(
            path.with_name(path.name.partition(".old-")[0])
        )  # as somebody does who restores an old backup
    assert await {type(each): each for each in roots_in(tmp_path)}[type(root)].unwrap(old, PLACE) == SECRET


@pytest.mark.parametrize("damage", [b"", b"abc def\n", b"x" * 77 + b"\n"])
async def test_damage_is_told(root: RootKey, tmp_path: Path, damage: bytes) -> None:
    wrapped = await root.wrap(SECRET, PLACE)
    files_of(tmp_path)[0].write_bytes(damage)
    for again in roots_in(tmp_path):
        if type(again) is type(root):
            with pytest.raises(RootKeyError, match=r"damaged|empty|no root key in common"):
                await again.unwrap(wrapped, PLACE)


async def test_a_flipped_digit_is_told(root: RootKey, tmp_path: Path) -> None:
    path = files_of(tmp_path)[0]
    text = path.read_text().strip()
    path.write_text(text[:-1] + ("0" if text[-1] != "0" else "1") + "\n")
    with pytest.raises(RootKeyError, match=r"damaged"):
        await root.wrap(SECRET, PLACE)


async def test_a_missing_file_is_told_with_what_it_means(root: RootKey, tmp_path: Path) -> None:
    files_of(tmp_path)[0].unlink()
    with pytest.raises(RootKeyError, match=r"missing.*nothing that is sealed can ever be opened"):
        await root.wrap(SECRET, PLACE)


async def test_a_file_that_others_may_read_is_refused(root: RootKey, tmp_path: Path) -> None:
    files_of(tmp_path)[0].chmod(0o640)
    with pytest.raises(RootKeyError, match="chmod 600"):
        await root.health()


# -- two custodians


async def test_one_share_tells_nothing_of_the_key(tmp_path: Path) -> None:
    one, two = tmp_path / "anna", tmp_path / "bela"
    await SplitRoot(one, two).make()
    wrapped = await SplitRoot(one, two).wrap(SECRET, PLACE)
    for share in (one, two):
        twin = tmp_path / "twin"
        twin.write_bytes(share.read_bytes())
        twin.chmod(0o600)
        with pytest.raises(RootKeyError, match="do not fit"):
            await SplitRoot(share, twin).unwrap(wrapped, PLACE)


async def test_shares_of_two_installations_are_told(tmp_path: Path) -> None:
    for name in ("mine", "theirs"):
        await SplitRoot(tmp_path / name / "anna", tmp_path / name / "bela").make()
    with pytest.raises(RootKeyError, match="different installations"):
        await SplitRoot(tmp_path / "mine" / "anna", tmp_path / "theirs" / "bela").health()


async def test_one_share_alone_makes_no_new_key(tmp_path: Path) -> None:
    one, two = tmp_path / "anna", tmp_path / "bela"
    await SplitRoot(one, two).make()
    two.unlink()
    with pytest.raises(RootKeyError, match=r"anna is there, but .*bela is not"):
        await SplitRoot(one, two).make()
    assert not two.exists()


async def test_killed_between_the_two_files_the_next_try_is_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = tmp_path / "anna", tmp_path / "bela"
    root = SplitRoot(one, two)
    await root.make()
    old = await root.wrap(SECRET, PLACE)
    before = two.read_bytes()
    await root.renew({old.root})
    two.write_bytes(before)  # the second file was not written any more
    again = SplitRoot(one, two)
    assert (await again.wrap(SECRET, PLACE)).root == old.root
    await again.renew({old.root})
    assert (await again.wrap(SECRET, PLACE)).root != old.root
    assert await again.unwrap(old, PLACE) == SECRET
    assert len(one.read_text().splitlines()) == len(two.read_text().splitlines()) == 2


def test_the_same_file_twice_is_no_split(tmp_path: Path) -> None:
    with pytest.raises(RootKeyError, match="name two"):
        SplitRoot(tmp_path / "share", tmp_path / "." / "share")


# -- the choice


def test_the_settings_name_the_root_key(tmp_path: Path) -> None:
    chosen = Settings(home=tmp_path / "home")
    assert root_of(chosen).name == f"file {tmp_path / 'home-keys' / 'root.key'}"
    assert isinstance(root_of(chosen, "split:/media/a/share,/media/b/share"), SplitRoot)
    found = root_of(chosen, "transit:https://vault.example:8200/team/transit/till")
    assert isinstance(found, TransitRoot)
    assert found.name == "key service https://vault.example:8200/team/transit/till"


@pytest.mark.parametrize(
    "text",
    ["", "fle", "split:/one", "split:", "transit:", "transit:vault:8200", "transit:https://vault/till",
     "transit:http://vault.example/transit/till"],
)  # fmt: skip
def test_a_wrong_choice_is_told(tmp_path: Path, text: str) -> None:
    with pytest.raises(RootKeyError):
        root_of(Settings(home=tmp_path / "home", root_key=text))
