# Reads the targets, then the notes: PLACE CASE METHOD MEASURE VALUE, one for each run, tab-separated. Prints the table: medians,
# ratios, verdicts. What was not measured is said to be so.

function median(key,   n, i, j, list, swap) {
    n = count[key]
    for (i = 1; i <= n; i++) list[i] = value[key, i]
    for (i = 2; i <= n; i++)
        for (j = i; j > 1 && list[j] < list[j - 1]; j--) { swap = list[j]; list[j] = list[j - 1]; list[j - 1] = swap }
    return n % 2 ? list[(n + 1) / 2] : (list[n / 2] + list[n / 2 + 1]) / 2
}

function shown(number, measure) {
    if (measure == "s" || measure == "ticks" || measure == "job") return sprintf(number < 10 ? "%.2f s" : "%.1f s", number)
    if (measure == "gap") return sprintf("%.0f ms", number)
    return sprintf(number < 10 ? "%.2f MiB" : "%.0f MiB", number)
}

function row(words, place, ours, peer, theirs, ratio, target, verdict) {
    printf "| %s | %s | %s | %s | %s | %s | %s | %s |\n", words, place, ours, peer, theirs, ratio, target, verdict
}

function judged(good) { if (good) met++; else short++; return good ? "met" : "**short**" }

function judge(words, place, peer, measure, rule, limit, ours, theirs,   ratio) {
    if (rule == ">=" || rule == "~") {
        ratio = ours > 0 ? theirs / ours : 0
        row(words, place, shown(ours, measure), peer, shown(theirs, measure), sprintf("%.1f", ratio),
            rule == "~" ? "" : "≥ " limit, rule == "~" ? "" : judged(ratio >= limit))
    } else if (rule == "+") {
        row(words, place, shown(ours, measure), peer, shown(theirs, measure), sprintf("%+.0f ms", ours - theirs),
            "≤ +" limit " ms", judged(ours - theirs <= limit))
    } else {
        ratio = theirs > 0 ? ours / theirs : 0
        row(words, place, shown(ours, measure), peer, shown(theirs, measure), sprintf("%.2f ×", ratio), "≤ " limit " ×",
            judged(ratio <= limit))
    }
}

BEGIN { FS = "\t" }
FNR == 1 { file++ }
file == 1 && !/^#/ { target[++targets] = $0 }
file == 2 {
    key = $1 SUBSEP $2 SUBSEP $3 SUBSEP $4
    value[key, ++count[key]] = $5
    if (!($1 in known)) { known[$1] = 1; place[++places] = $1 }
}

END {
    row("case", "where", "ours", "peer", "the peer's", "ratio", "target", "")
    row("---", "---", "---:", "---", "---:", "---:", "---:", "---")
    for (t = 1; t <= targets; t++) {
        split(target[t], field, "|")
        seen = 0
        split(field[1], name, "/")
        what = name[1]; own = name[2] != "" ? name[2] : "ours"; peer = field[2]; measure = field[3]; rule = field[4]; limit = field[5]; words = field[6]
        for (p = 1; p <= places; p++) {
            mine = place[p] SUBSEP what SUBSEP own SUBSEP measure
            if (!(mine in count)) continue
            if (rule == "max") {
                seen = 1
                row(words, place[p], shown(median(mine), measure), "", "", "", "≤ " limit, judged(median(mine) <= limit))
            } else if (rule == "growth") {
                least = seen ? least : median(mine)
                most = median(mine)
                if (seen++) last = place[p]
            } else {
                other = place[p] SUBSEP what SUBSEP peer SUBSEP measure
                if (!(other in count)) continue
                seen = 1
                judge(words, place[p], peer, measure, rule, limit, median(mine), median(other))
            }
        }
        if (rule == "growth" && seen > 1)
            row(words, last, shown(most, measure), "1 GiB", shown(least, measure), sprintf("%.2f ×", most / least), "≤ " limit " ×",
                judged(most <= least * limit))
        else if (!seen || (rule == "growth"))
            row(words, "", "", peer == "self" ? "" : peer, "", "", "", "not measured")
    }
    printf "\n%d met, %d short.\n", met, short
}
