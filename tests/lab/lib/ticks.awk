# Reads "STAMP NODE tick BOOT N UPTIME" in the order of the stamps; prints one line "key=value ...".
# Fails if ticks came again in the same boot, if the guest ran on two nodes at once, or (with max_gap) if it stopped for longer than
# max_gap ms.

$3 == "tick" && NF == 6 && $1 >= since {
    count++
    if (count > 1) {
        gap = $1 - stamp
        if (gap > longest) {
            longest = gap; longest_at = stamp; from = node; to = $2
            stood = boot == $4 ? gap - ($6 - uptime) : gap
        }
        if ($4 != boot) { boots++; if (gap > restart) restart = gap }
        # In one boot, the count of ticks never goes back, on whichever node.
        if ($4 in last && $5 <= last[$4]) rewinds++
        if ($2 != node) {
            moves++; path = path ">" $2
            if (stamp - seen[$2] < 0.5 && $2 in seen) overlaps++
        }
    } else { path = $2; boots = 1 }
    if (!(count > 1 && $4 in last) || $5 > last[$4]) last[$4] = $5
    stamp = $1; node = $2; boot = $4; uptime = $6; seen[$2] = $1
}

END {
    if (!count) { print "ticks=0"; exit 1 }
    bad = rewinds + overlaps > 0 || (max_gap > 0 && longest * 1000 > max_gap)
    printf "ticks=%d gap_ms=%d gap_at=%.3f gap_from=%s gap_to=%s stood_ms=%d boots=%d restart_ms=%d boot=%s nodes=%s rewinds=%d overlaps=%d\n", \
        count, longest * 1000, longest_at, from, to, stood * 1000, boots, restart * 1000, boot, path, rewinds, overlaps
    exit bad
}
