# Reads the targets, then the notes: WHERE CASE METHOD MEASURE VALUE, one line for each run, tab-separated. Prints the table: medians,
# ratios, scatter, verdicts. A row that was not measured says so. A row whose runs scatter so much that they disagree about the verdict
# gets none.

function sort_runs(key, list,   n, i, j, swap) {
    n = count[key]
    for (i = 1; i <= n; i++) list[i] = value[key, i]
    for (i = 2; i <= n; i++)
        for (j = i; j > 1 && list[j] < list[j - 1]; j--) { swap = list[j]; list[j] = list[j - 1]; list[j - 1] = swap }
    return n
}

# Sets series[WHICH]: median, least and most; of five or more runs the lowest and the highest are left out.
function summarise(which, key,   n, list, cut) {
    n = sort_runs(key, list)
    cut = n >= 5
    middle[which] = n % 2 ? list[(n + 1) / 2] : (list[n / 2] + list[n / 2 + 1]) / 2
    least[which] = list[1 + cut]
    most[which] = list[n - cut]
    runs[which] = n
}

function shown(number, measure) {
    if (measure == "last" && number < 1) return sprintf("%.0f ms", number * 1000)
    if (measure ~ /^(s|last|ticks|job)$/) return sprintf(number < 10 ? "%.2f s" : "%.1f s", number)
    if (measure == "gap") return sprintf("%.0f ms", number)
    return sprintf(number < 10 ? "%.2f MiB" : "%.0f MiB", number)
}

function width(which) { return middle[which] > 0 ? (most[which] - least[which]) / 2 / middle[which] * 100 : 0 }

# How far the runs are from their median, in percent: ours, and the peer's.
function scatter(peer,   fewest, text) {
    fewest = peer && runs["peer"] < runs["ours"] ? runs["peer"] : runs["ours"]
    if (fewest < 2) return "one run"
    text = sprintf("%.0f", width("ours"))
    return text (peer ? sprintf("/%.0f", width("peer")) : "")
}

function row(description, where, ours, peer, theirs, ratio, spread, target, verdict) {
    printf "| %s | %s | %s | %s | %s | %s | %s | %s | %s |\n", description, where, ours, peer, theirs, ratio, spread, target, verdict
}

function relation(rule, ours, theirs) {
    if (rule == "+") return ours - theirs
    if (rule == "max") return ours
    if (rule == ">=" || rule == "~") return ours > 0 ? theirs / ours : 0
    return theirs > 0 ? ours / theirs : 0
}

function good(rule, limit, ours, theirs) {
    return rule == ">=" ? relation(rule, ours, theirs) >= limit : relation(rule, ours, theirs) <= limit
}

# The verdict by the medians. None if the best and the worst runs would give different ones and a series scatters by more than 10 %.
function verdict(rule, limit,   best, worst) {
    if (rule == "~") return ""
    best = good(rule, limit, least["ours"], most["peer"])
    worst = good(rule, limit, most["ours"], least["peer"])
    if (best != worst && (width("ours") > 10 || width("peer") > 10)) { noisy++; return "noisy" }
    if (good(rule, limit, middle["ours"], middle["peer"])) { met++; return "met" }
    short++
    return "**short**"
}

function judge(description, where, peer, measure, rule, limit,   ratio, target) {
    ratio = relation(rule, middle["ours"], middle["peer"])
    if (rule == "max")
        row(description, where, shown(middle["ours"], measure), "", "", "", scatter(0), "≤ " limit, verdict(rule, limit))
    else if (rule == "+")
        row(description, where, shown(middle["ours"], measure), peer, shown(middle["peer"], measure), sprintf("%+.0f ms", ratio),
            scatter(1), "≤ +" limit " ms", verdict(rule, limit))
    else {
        target = rule == "~" ? "" : rule == ">=" ? "≥ " limit : "≤ " limit " ×"
        row(description, where, shown(middle["ours"], measure), peer, shown(middle["peer"], measure),
            rule == "<=" ? sprintf("%.2f ×", ratio) : sprintf("%.1f", ratio), scatter(1), target, verdict(rule, limit))
    }
}

# Prints a case for every WHERE at which it was measured, compared with a peer, with nothing, or with its own first WHERE. Returns the
# number of rows.
function rows(what, own, peer, measure, rule, limit, description,   p, mine, first, last, seen) {
    for (p = 1; p <= where_count; p++) {
        mine = where[p] SUBSEP what SUBSEP own SUBSEP measure
        if (!(mine in count)) continue
        if (rule == "growth") {
            if (!first) first = p
            last = p
            continue
        }
        if (rule != "max" && !((where[p] SUBSEP what SUBSEP peer SUBSEP measure) in count)) continue
        summarise("ours", mine)
        summarise("peer", where[p] SUBSEP what SUBSEP peer SUBSEP measure)
        judge(description, where[p], peer, measure, rule, limit)
        seen++
    }
    if (rule != "growth" || first == last) return seen
    summarise("ours", where[last] SUBSEP what SUBSEP own SUBSEP measure)
    summarise("peer", where[first] SUBSEP what SUBSEP own SUBSEP measure)
    judge(description, where[last], where[first], measure, "<=", limit)
    return 1
}

BEGIN { FS = "\t" }
FNR == 1 { file++ }
file == 1 && !/^#/ { target[++targets] = $0 }
file == 2 {
    key = $1 SUBSEP $2 SUBSEP $3 SUBSEP $4
    value[key, ++count[key]] = $5
    if (!($1 in known)) { known[$1] = 1; where[++where_count] = $1 }
}

END {
    row("case", "where", "ours", "peer", "the peer's", "ratio", "± %", "target", "")
    row("---", "---", "---:", "---", "---:", "---:", "---:", "---:", "---")
    for (t = 1; t <= targets; t++) {
        split(target[t], field, "|")
        split(field[1], name, "/")
        own = name[2] != "" ? name[2] : "ours"
        if (!rows(name[1], own, field[2], field[3], field[4], field[5], field[6]))
            row(field[6], "", "", field[2] == "self" ? "" : field[2], "", "", "", "", "not measured")
    }
    printf "\n%d met, %d short, %d noisy.\n", met, short, noisy
}
