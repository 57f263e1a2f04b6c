"""An independent verifier of the audit trail's proofs: nothing of Tillkeeper, only hashlib and an Ed25519 library."""

from hashlib import sha256
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey


def netstrings(*texts: str) -> bytes:
    return b"".join(b"%d:%b," % (len(raw), raw) for raw in (text.encode() for text in texts))


def leads_to(leaf: bytes, index: int, size: int, path: list[bytes], root: bytes) -> bool:
    """RFC 9162, section 2.1.3.2."""
    node, last, found = index, size - 1, leaf
    for each in path:
        if last == 0:
            return False
        if node & 1 or node == last:
            found = sha256(b"\1" + each + found).digest()
            while not node & 1 and node:
                node, last = node >> 1, last >> 1
        else:
            found = sha256(b"\1" + found + each).digest()
        node, last = node >> 1, last >> 1
    return last == 0 and found == root


def accept(proof: dict[str, Any], public_key: str) -> None:
    """Raise unless the event of a proof stands under a head that the holder of the key signed."""
    leaf = sha256(b"\0" + netstrings("till.audit.event.1", *(text for _, text in proof["event"]))).digest()
    path = [bytes.fromhex(each) for each in proof["path"]]
    assert leads_to(leaf, proof["seq"], proof["size"], path, bytes.fromhex(proof["root"]))
    head = [proof["trail"], str(proof["size"]), proof["root"], str(proof["at_us"]), proof["key"]]
    signed = netstrings("till.audit.head.1", *head)
    Ed25519PublicKey.from_public_bytes(bytes.fromhex(public_key)).verify(
        bytes.fromhex(proof["signature"]), signed
    )
