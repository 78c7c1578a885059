#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The forecast's long backtest (docs/detection.md, "Time to exhaustion"): made-up series with seeds that nothing was chosen on, and fills that
# it records itself on real filesystems, where it is root. Writes the tables into the document; 1 when a goal is missed.
#   FORECAST_FIRST (2001), FORECAST_SEEDS (20), FORECAST_RECORD_SEED (2001)
set -eu

cd "$(dirname "$0")/.."
bench=build/tests/bench/bench_forecast
document=docs/detection.md
tables=build/forecast.md
fills=build/forecast-fills
missed=0

[ -x "$bench" ] || { echo 'bench-forecast.sh: bench_forecast is not built: make bench-forecast' >&2; exit 1; }
{
	echo "### Made-up series"
	echo
	"$bench" seeds "${FORECAST_FIRST:-2001}" "${FORECAST_SEEDS:-20}" || echo missed >"$tables.missed"
	echo
} >"$tables"
if [ "$(id -u)" = 0 ]; then
	rm -rf "$fills"
	PYTHONDONTWRITEBYTECODE=1 /usr/bin/python3 tests/bench/record_fills.py "$fills" "${FORECAST_RECORD_SEED:-2001}"
	{
		echo "### Fills of real filesystems"
		echo
		"$bench" recorded "$fills"/* || echo missed >"$tables.missed"
		echo
	} >>"$tables"
else
	echo 'SKIP fills of real filesystems: mounting needs root' >&2
fi
[ ! -e "$tables.missed" ] || { missed=1; rm -f "$tables.missed"; }

# What stands between the marks is written anew, the rest is prose and stays.
from='<!-- forecast: written by make bench-forecast -->'
to='<!-- forecast: end -->'
{
	sed "/^$from\$/q" "$document"
	echo
	cat "$tables"
	sed -n "/^$to\$/,\$p" "$document"
} >"$document.new"
mv "$document.new" "$document"
cat "$tables"
echo "wrote $document"
exit "$missed"
