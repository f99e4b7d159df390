"""Hashes an object's path. In: {"swift_dir", "path": one character a byte}. Out: the hash."""
from lab import answer, arguments
from swift.common import utils

args = arguments()
utils.set_swift_dir(args["swift_dir"])
answer(utils.hash_path(*args["path"].encode("latin-1").decode("utf-8").split("/", 3)[1:]))
