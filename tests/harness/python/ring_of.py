"""Who holds what, by a ring file. In: {"ring": path}. Out: {partition: [[ip, device] of each replica]}"""
from lab import answer, arguments
from swift.common.ring import RingData

ring = RingData.load(arguments()["ring"])
answer({
    str(part): [[ring.devs[of[part]]["ip"], ring.devs[of[part]]["device"]] for of in ring._replica2part2dev_id]
    for part in range(2 ** (32 - ring._part_shift))
})
