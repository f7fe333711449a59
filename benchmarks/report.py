from __future__ import annotations

def table(workloads, candidates, figures, lacks):
    lines = ["%-16s" % "" + "".join("%17s" % c.name for c in candidates)]
    for w in workloads:
        line = "%-16s" % w.name
        for c in candidates:
            f = figures.get((w.name, c.name))
            line += "%17s" % ("-" if f is None else f"{f:,.3f}" if f < 1 else f"{f:,.1f}")
        lines.append(line)
        for b in w.bounds:
            limit = b.limit(w.name, figures)
            f = figures.get((w.name, b.candidate))
            if f is not None and limit is not None:
                good = f >= limit if w.more_is_better else f <= limit
                lines.append(f"      {b.candidate} {f:.2f}, held to {b} = {limit:.2f}: {'kept' if good else 'MISSED'}")
    lines += [f"{k}: {v}" for k, v in lacks.items()]
    return "\n".join(lines)
