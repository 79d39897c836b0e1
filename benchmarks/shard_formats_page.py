"""The page of `shard_formats`. Measures nothing; all follows from the figures."""

from __future__ import annotations

from typing import Any


def page(result: dict[str, Any]) -> str:
    here = result["machine"]
    lines = [
        "# Tensors at rest",
        "",
        f"`python -m benchmarks.shard_formats` on {here['cores']} cores of {here['cpu']}; load average at the",
        f"start {here['load_average_1m']}. Medians of {result['turns']} turns, all ways in each turn. CPU milliseconds per image,",
        "of the client alone: what SeaweedFS spends on loopback is not counted, though it runs on the same cores, so that",
        "images/s on S3 are what both reach together, with whatever else the machine did. Pixels are uint8, 3 × 224 × 224, of",
        "; ".join(f"{facts['photos']} {facts['source']}" for facts in result["photos"].values()) + ".",
        "Reading ends in copied batches of 32, as a model takes them. What follows from it:",
        "[decision 008](../decisions/008-tensor-shards.md).",
        "",
        "## Formats, in memory",
        "",
        "| format | photos | bytes/image | write, CPU-ms | read, CPU-ms | mean difference, of 255 |",
        "|---|---|---:|---:|---:|---:|",
    ]
    for row in result["formats"]:
        lines.append(
            f"| {row['format']} | {row['photos']} | {row['bytes_per_image']:,} | {row['write_cpu_ms']:.3f} "
            f"| {row['read_cpu_ms']:.3f} | {row['mean_difference_of_255']:g} |"
        )
    lines += [
        "",
        "## Shard sizes, this project's writer and reader",
        "",
        "| store | images a shard | MB | write, CPU-ms | images/s | read, CPU-ms | images/s |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    for row in result["sizes"]:
        lines.append(
            f"| {row['store']} | {row['shard_images']:,} | {row['shard_megabytes']} | {row['write_cpu_ms']:.3f} "
            f"| {row['write_per_second']:,} | {row['read_cpu_ms']:.3f} | {row['read_per_second']:,} |"
        )
    lines += [
        "",
        "## Storing against decoding again",
        "",
        "CPU milliseconds per image; one thread reads and decodes. A use is one more reading of the same tensor: another model,",
        "another run. The first use always decodes.",
        "",
        "| store | photos | GET | GET + decode | store | read back | uses until storing has paid, in CPU |",
        "|---|---|---:|---:|---:|---:|---:|",
    ]
    for row in result["pay_off"]:
        lines.append(
            f"| {row['store']} | {row['photos']}, {row['mean_photo_bytes'] / 1000:,.0f} kB | {row['get_cpu_ms']:.3f} "
            f"| {row['redecode_cpu_ms']:.2f} | {row['store_cpu_ms']:.3f} | {row['read_back_cpu_ms']:.3f} "
            f"| {row['uses_to_pay_in_cpu']} |"
        )
    prices = result["prices"]
    lines += [
        "",
        "The same on S3 in euros of a month of 5,000 photos a day. Assumed: "
        f"€{prices['eur_per_core_hour']} a core and hour, €{prices['eur_per_gb_month']} a GB and month, "
        f"€{prices['eur_per_1000_gets']} for 1,000 GETs, €{prices['eur_per_1000_puts']} for 1,000 PUTs, "
        "no traffic between regions.",
        "",
        "| photos | one use decoded again | one use read back | writing | resting 3, 7, 30 days | uses until storing has paid |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for row in result["pay_off"]:
        if row["store"] == "s3":
            rest = " / ".join(f"{eur:.3f}" for eur in row["rest_eur_month"].values())
            uses = " / ".join(f"{uses:g}" for uses in row["uses_to_pay_in_euros"].values())
            lines.append(
                f"| {row['photos']} | {row['redecode_eur_month']:.3f} | {row['read_back_eur_month']:.4f} "
                f"| {row['write_eur_month']:.3f} | {rest} | {uses} |"
            )
    return "\n".join(lines) + "\n"
