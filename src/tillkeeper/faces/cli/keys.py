"""`till keys create|renew|list|revoke|rotate`."""

from datetime import datetime, timedelta
from typing import Annotated
from uuid import UUID

import typer

from tillkeeper import access
from tillkeeper.base.clock import SystemClock
from tillkeeper.base.ids import BadIdError, from_typeid, to_typeid
from tillkeeper.faces.cli import rotate
from tillkeeper.faces.cli.links import ACTOR, ORIGIN
from tillkeeper.faces.cli.opening import run, settings
from tillkeeper.faces.cli.output import CliError, Json, say, say_json, say_table
from tillkeeper.faces.cli.times import span_of
from tillkeeper.store.opening import opened

app = typer.Typer(no_args_is_help=True, add_completion=False)
app.add_typer(rotate.app, name="rotate")
_clock = SystemClock()


@app.callback()
def keys() -> None:
    """Create, renew, list and revoke API keys; rotate the keys of sealed data."""


@app.command()
def create(
    name: Annotated[str, typer.Argument(help="What the key is for.")],
    scope: Annotated[
        list[str] | None,
        typer.Option(help=f"What it may do, repeatable: {', '.join(sorted(access.SCOPES))}."),
    ] = None,
    days: Annotated[
        int | None, typer.Option(min=1, help="Days until it expires; unset: it does not.")
    ] = None,
    network: Annotated[
        list[str] | None,
        typer.Option(help="Where it may be used from, repeatable: 10.1.0.0/16; unset: from anywhere."),
    ] = None,
    *,
    json: Json = False,
) -> None:
    """Create a key and show it, this once; only its hash is stored. Without --scope it may do everything.

    Example: till keys create shop --scope payments:write --scope payments:read --days 90 --network 10.1.0.0/16
    """
    key, text = run(_create(name, scope or sorted(access.SCOPES), days, network or []))
    if json:
        say_json({**_public(key), "key": text})
        return
    say(text)
    say(f"Keep it now: it is not shown again. {to_typeid('key', key.id)}, may: {', '.join(key.scopes)}.")


async def _create(
    name: str, scopes: list[str], days: int | None, networks: list[str]
) -> tuple[access.KeyInfo, str]:
    expires_at = _clock.now() + timedelta(days=days) if days else None
    async with opened(settings(), size=1) as (store, _), store.tx("cli create key") as tx:
        return await access.create_key(
            tx, None, name, scopes, expires_at, _clock, networks=networks, actor=ACTOR, origin=ORIGIN
        )


@app.command()
def renew(
    key: Annotated[str, typer.Argument(help="The key's id, key_…")],
    overlap: Annotated[str, typer.Option(help="How long the old one still works: 24h, 7d.")] = "24h",
    *,
    json: Json = False,
) -> None:
    """Make a new key for the same caller and show it, this once; the old one ends after the overlap.

    Example: till keys renew key_01k… --overlap 24h
    """
    new, text, until = run(_renew(key, span_of("--overlap", overlap)))
    if json:
        say_json({**_public(new), "key": text, "old_ends_at": until})
        return
    say(text)
    say(
        f"Keep it now: it is not shown again. {to_typeid('key', new.id)}; {key} works until {until:%Y-%m-%d %H:%M} UTC."
    )


async def _renew(key: str, overlap: timedelta) -> tuple[access.KeyInfo, str, datetime]:
    async with opened(settings(), size=1) as (store, _), store.tx("cli renew key") as tx:
        return await access.renew_key(tx, _key_id(key), overlap, _clock, actor=ACTOR, origin=ORIGIN)


@app.command("list")
def list_(*, json: Json = False) -> None:
    """List every key ever made, newest first. The keys themselves are nowhere stored.

    Example: till keys list --json
    """
    found = run(_list())
    if json:
        say_json({"data": [_public(key) for key in found]})
        return
    rows = [
        [
            to_typeid("key", key.id),
            key.name,
            key.short_id,
            ", ".join(key.scopes),
            _day(key.created_at),
            ", ".join(key.networks) or "anywhere",
            _day(key.used_at) if key.used_at else "never",
            _state(key),
        ]
        for key in found
    ]
    say_table(["id", "name", "starts with till_", "may", "created", "from", "last used", "state"], rows)


async def _list() -> list[access.KeyInfo]:
    async with opened(settings(), size=1) as (store, _), store.tx("cli list keys") as tx:
        return await access.list_keys(tx)


@app.command()
def revoke(
    key: Annotated[str, typer.Argument(help="The key's id, key_…")],
    reason: Annotated[str, typer.Option(help="Kept in the audit trail.")] = "",
    *,
    json: Json = False,
) -> None:
    """Revoke a key: refused everywhere within seconds, for ever.

    Example: till keys revoke key_01k… --reason "left on a laptop"
    """
    run(_revoke(key, reason))
    if json:
        say_json({"id": key, "state": "revoked"})
    else:
        say(f"{key} is revoked.")


async def _revoke(key: str, reason: str) -> None:
    key_id = _key_id(key)
    async with opened(settings(), size=1) as (store, _), store.tx("cli revoke key") as tx:
        await access.revoke_key(tx, key_id, _clock, actor=ACTOR, origin=ORIGIN, reason=reason)


def _key_id(key: str) -> UUID:
    try:
        return from_typeid("key", key)
    except BadIdError as error:
        raise CliError(f"{key} is no key id", "till keys list shows them; they begin with key_") from error


def _state(key: access.KeyInfo) -> str:
    if key.revoked_at:
        return f"revoked {_day(key.revoked_at)}"
    if key.expires_at is None:
        return "in use"
    return f"{'expired' if key.expires_at <= _clock.now() else 'until'} {_day(key.expires_at)}"


def _day(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d}"


def _public(key: access.KeyInfo) -> dict[str, object]:
    return {
        "id": to_typeid("key", key.id),
        "name": key.name,
        "short_id": key.short_id,
        "scopes": key.scopes,
        "created_at": key.created_at,
        "expires_at": key.expires_at,
        "revoked_at": key.revoked_at,
        "networks": key.networks,
        "used_at": key.used_at,
        "renews": to_typeid("key", key.renews) if key.renews else None,
    }
