"""Unpickles REPLICATE answers. In: {"hex": a pickle, or a list of them}. Out: the value, or the list of them."""
import pickle

from lab import answer, arguments


def value(text):
    return pickle.loads(bytes.fromhex(text))


found = arguments()["hex"]
answer(value(found) if isinstance(found, str) else [value(text) for text in found])
