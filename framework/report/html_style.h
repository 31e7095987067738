#pragma once
#include <string_view>

namespace noisette {

/// The style sheet of the report. Series colours keep 3:1 contrast against their page in both
/// schemes.
inline constexpr std::string_view kReportStyle = R"css(
:root { color-scheme: light dark; --page: #f6f7f9; --card: #fff; --ink: #1b1f27; --muted: #626b7a; --grid: #e4e7ec;
  --rule: #d5dae2; --mark: #fff4d6; --mark-ink: #7a4b00; --accent: #2f5fd0;
  --s0: #2f5fd0; --s1: #cf5c00; --s2: #14804a; --s3: #b3277c; --s4: #6f48c4; --s5: #0a7c93; --s6: #8d6b00; --s7: #c22f2f; }
@media (prefers-color-scheme: dark) {
  :root { --page: #12151b; --card: #1a1e26; --ink: #e6e9ef; --muted: #98a2b3; --grid: #2a303b; --rule: #353c49;
    --mark: #3a2f14; --mark-ink: #ffd27a; --accent: #7ea6ff;
    --s0: #7ea6ff; --s1: #ff9d4d; --s2: #5fcf95; --s3: #f386c2; --s4: #b79bff; --s5: #5ccfe6; --s6: #e0c050; --s7: #ff8080; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--ink); font: 15px/1.5 system-ui, "Segoe UI", Roboto,
  "Helvetica Neue", "DejaVu Sans", sans-serif; }
main { max-width: 1200px; margin: 0 auto; padding: 28px 20px 60px; }
header p { margin: 2px 0 0; color: var(--muted); }
h1 { margin: 0; font-size: 28px; line-height: 1.25; overflow-wrap: anywhere; }
h2 { margin: 40px 0 12px; font-size: 19px; }
h3 { margin: 0 0 8px; font-size: 15px; overflow-wrap: anywhere; }
.note { color: var(--muted); margin: -6px 0 12px; font-size: 14px; }
.cards { display: grid; gap: 16px; grid-template-columns: repeat(auto-fit, minmax(min(100%, 440px), 1fr)); }
.card, figure, .tile { background: var(--card); border: 1px solid var(--rule); border-radius: 10px; min-width: 0; }
.card { padding: 14px 16px; }
.card.wide { overflow-x: auto; }
.tiles { display: grid; gap: 12px; margin-top: 20px; grid-template-columns: repeat(auto-fit, minmax(140px, 1fr)); }
.tile { padding: 10px 14px; }
.tile b { display: block; font-size: 21px; line-height: 1.3; font-variant-numeric: tabular-nums; }
.tile span { color: var(--muted); font-size: 13px; }
figure { margin: 0; padding: 12px 14px 8px; }
figcaption { font-weight: 600; }
figcaption small { display: block; font-weight: 400; font-size: 13px; color: var(--muted); }
figure svg { display: block; width: 100%; height: auto; margin-top: 6px; }
svg text { font-size: 13px; fill: var(--muted); }
svg .y { text-anchor: end; } svg .x, svg .label { text-anchor: middle; }
svg .grid { stroke: var(--grid); } svg .axis, svg .tick { stroke: var(--rule); }
svg path { fill: none; stroke-linejoin: round; stroke-linecap: round; }
svg .line { stroke-width: 2; } svg .raw { stroke-width: 1; opacity: .32; }
.legend { display: flex; flex-wrap: wrap; gap: 2px 14px; font-size: 13px; color: var(--muted); }
.legend span { overflow-wrap: anywhere; }
.legend i { display: inline-block; width: 14px; height: 4px; border-radius: 2px; margin-right: 6px; vertical-align: middle; }
img { display: block; max-width: 100%; height: auto; image-rendering: pixelated; border-radius: 4px; background: #0002; }
.strip { display: grid; gap: 12px; grid-template-columns: repeat(auto-fill, minmax(min(100%, 150px), 1fr)); }
.strip img { width: 100%; }
.strip div, .caption { font-size: 13px; color: var(--muted); }
.caption { margin: 8px 0 0; }
table { border-collapse: collapse; width: 100%; font-size: 14px; }
th { text-align: left; color: var(--muted); font-weight: 600; }
th, td { padding: 4px 14px 4px 0; border-bottom: 1px solid var(--grid); vertical-align: top; overflow-wrap: anywhere;
  min-width: 84px; }
tr:last-child > * { border-bottom: 0; }
td:first-child { color: var(--muted); white-space: nowrap; }
.settings td { font-family: ui-monospace, "Cascadia Mono", Menlo, "DejaVu Sans Mono", monospace; font-size: 13px; }
.settings td:first-child { color: var(--ink); }
.settings .group th { padding-top: 14px; color: var(--ink); }
.settings td.changed { background: var(--mark); color: var(--mark-ink); font-weight: 600; padding-left: 6px; }
tr.differs td:first-child::after { content: " \2260"; color: var(--accent); font-weight: 700; }
@media (max-width: 560px) { main { padding: 18px 12px 40px; } h1 { font-size: 23px; } h2 { margin-top: 30px; }
  svg text { font-size: 16px; } .strip { grid-template-columns: 1fr 1fr; } th, td { padding-right: 8px; } }
@media print { body { background: #fff; } .card, figure, .tile { break-inside: avoid; } }
)css";

}  // namespace noisette
