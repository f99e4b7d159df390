"""Puts bytes in place of an object's metadata.

In: {"file", "kind": rot | garbage | cut | command | bomb | list, "sentinel": a file that the command would make}
All but `rot` get a checksum that fits, so that they are unpickled.
"""
import hashlib
import os

from lab import answer, arguments

KEY, CHECKSUM = "user.swift.metadata", "user.swift.metadata_checksum"
args = arguments()
whole = os.getxattr(args["file"], KEY)
pickles = {
    "rot": whole[:-1] + bytes([whole[-1] ^ 1]),
    "garbage": b"\xff\x00 this is no pickle",
    "cut": whole[: len(whole) // 2],
    "command": b"cposix\nsystem\n(S'touch %s'\ntR." % args["sentinel"].encode(),
    # Announces 2 GiB of text.
    "bomb": b"\x80\x02X\xff\xff\xff\x7fabc.",
    "list": b"\x80\x02]q\x00.",
}
damaged = pickles[args["kind"]]
os.setxattr(args["file"], KEY, damaged)
if args["kind"] != "rot":
    os.setxattr(args["file"], CHECKSUM, hashlib.md5(damaged).hexdigest().encode())
answer({"bytes": len(damaged)})
