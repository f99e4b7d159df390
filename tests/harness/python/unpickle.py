"""Unpickles a REPLICATE answer. In: {"hex": the pickle}. Out: the value."""
import pickle

from lab import answer, arguments

answer(pickle.loads(bytes.fromhex(arguments()["hex"])))
