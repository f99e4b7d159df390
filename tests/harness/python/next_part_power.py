"""Sets, or takes back, the next part power of a ring file, as an operator's increase of the part power does.

In: {"ring": path, "next_part_power": number or null}
"""
from lab import answer, arguments
from swift.common.ring.ring import RingData

args = arguments()
ring = RingData.load(args["ring"])
ring.next_part_power = args["next_part_power"]
ring.save(args["ring"])
answer({})
