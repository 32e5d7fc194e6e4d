"""The style sheet of the report."""

__all__ = ["CSS"]

CSS = """
:root { --ink: #1f2933; --muted: #616e7c; --line: #e4e7eb; --accent: #0f766e; --paper: #fcfcfa; }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 1100px; padding: 40px 30px 60px; background: var(--paper); color: var(--ink);
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif; }
header { border-bottom: 3px solid var(--accent); padding-bottom: 14px; margin-bottom: 8px; }
h1 { font-size: 32px; line-height: 1.2; margin: 0; letter-spacing: -0.01em; }
h2 { font-size: 21px; margin: 0 0 10px; letter-spacing: -0.005em; }
h3 { font-size: 16px; margin: 22px 0 6px; }
.sub { color: var(--muted); margin: 6px 0 0; }
section { margin: 38px 0 0; }
p { margin: 8px 0; max-width: 82ch; }
.lead { font-size: 18px; }
.caption { color: var(--muted); font-size: 13.5px; line-height: 1.45; max-width: 95ch; }
.note { border-left: 3px solid #d97706; padding: 2px 0 2px 12px; }
.cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(170px, 1fr)); gap: 14px; margin: 20px 0 22px; }
.card { background: white; border: 1px solid var(--line); border-radius: 10px; padding: 12px 16px; }
.label { color: var(--muted); font-size: 13.5px; }
.value { font-size: 27px; font-weight: 600; line-height: 1.3; font-variant-numeric: tabular-nums; }
.remark { color: var(--muted); font-size: 13px; }
svg.chain { width: 100%; height: auto; display: block; margin: 6px 0 14px; font-family: inherit; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: 14.5px; font-variant-numeric: tabular-nums; margin: 12px 0; }
th { font-weight: 600; color: var(--muted); font-size: 13px; vertical-align: bottom;
  border-bottom: 1.5px solid var(--ink); }
th, td { text-align: right; padding: 6px 0 6px 16px; }
td { border-bottom: 1px solid var(--line); white-space: nowrap; vertical-align: top; }
th.text, td.text { text-align: left; white-space: normal; overflow-wrap: break-word; }
td.text:last-child { min-width: 20em; }
.figure { overflow-x: auto; }
.figure > div { min-width: 760px; }
td.text:not(:last-child) { white-space: nowrap; }
table.facts td { text-align: left; white-space: normal; overflow-wrap: anywhere; }
table.facts td:first-child { width: 9em; color: var(--muted); }
th:first-child, td:first-child { padding-left: 6px; }
th:last-child, td:last-child { padding-right: 6px; }
tr.mark td { background: #e9f5f3; font-weight: 600; }
footer { margin-top: 50px; padding-top: 12px; border-top: 1px solid var(--line); color: var(--muted); font-size: 13px; }
@media print {
  @page { margin: 14mm; }
  body { max-width: none; padding: 0; background: white; font-size: 11pt; }
  section { break-inside: avoid; margin-top: 22px; }
  .figure > div { min-width: 0; }
  .scroll, .figure { overflow: visible; }
  table { font-size: 8pt; }
  th, td { padding-left: 6px; }
  th { font-size: 7pt; }
  .cards { grid-template-columns: repeat(5, 1fr); gap: 8px; }
  .card { padding: 8px 10px; }
  .value { font-size: 16pt; }
  .card, tr.mark td { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
}
"""
