"""Puts bytes in place of an object's metadata, with a checksum that fits, as bit rot above the file system would not.

In: {"file", "kind": garbage | cut | command | bomb | list, "sentinel": a file that the command would make}
"""
import hashlib
import os

from lab import answer, arguments

KEY, CHECKSUM = "user.swift.metadata", "user.swift.metadata_checksum"
args = arguments()
whole = os.getxattr(args["file"], KEY)
pickles = {
    "garbage": b"\xff\x00 this is no pickle",
    "cut": whole[: len(whole) // 2],
    "command": b"cposix\nsystem\n(S'touch %s'\ntR." % args["sentinel"].encode(),
    # Announces 2 GiB of text.
    "bomb": b"\x80\x02X\xff\xff\xff\x7fabc.",
    "list": b"\x80\x02]q\x00.",
}
damaged = pickles[args["kind"]]
os.setxattr(args["file"], KEY, damaged)
os.setxattr(args["file"], CHECKSUM, hashlib.md5(damaged, usedforsecurity=False).hexdigest().encode())
answer({"bytes": len(damaged)})
