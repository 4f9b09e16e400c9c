// Plain words and figures; the words are those of docs/glossary.md.

const NUMBER = new Intl.NumberFormat("en");
const MOMENT = new Intl.DateTimeFormat("en", { dateStyle: "medium", timeStyle: "medium", hourCycle: "h23" });
const CLOCK = new Intl.DateTimeFormat("en", { timeStyle: "medium", hourCycle: "h23" });
const DAY = new Intl.DateTimeFormat("en", { dateStyle: "medium" });
const RELATIVE = new Intl.RelativeTimeFormat("en", { numeric: "auto" });
const UNITS = [["day", 86400], ["hour", 3600], ["minute", 60]];

export const STATES = {
  running: "Running",
  stopped: "Stopped",
  "half-off": "Half off",
  absent: "Absent",
  unknown: "Unknown",
};

const TYPES = {
  stop: "Stop",
  start: "Start",
  backup: "Backup",
  restore: "Restore",
  validate: "Validation",
  rebuild: "Rebuilding of the history",
  "delete-backup": "Deletion of a backup",
  migrate: "Migration",
  "move-storage": "Move of the storage",
  "stack-wake": "Waking of the stack",
  "stack-sleep": "Sleep of the stack",
};

/** What a code reads like: `delete-backup` is "Delete backup". */
export function readable(code) {
  const words = code.replaceAll(/[-_.]/g, " ");
  return words.charAt(0).toUpperCase() + words.slice(1);
}

export function typeWord(type) {
  return TYPES[type] ?? readable(type);
}

export function count(number, one, many = `${one}s`) {
  return `${NUMBER.format(number)} ${number === 1 ? one : many}`;
}

export function number(value) {
  return value === null || value === undefined ? "–" : NUMBER.format(value);
}

export function bytes(value) {
  if (value === null || value === undefined) return "–";
  const units = ["B", "kB", "MB", "GB", "TB"];
  let scaled = value;
  let unit = 0;
  while (scaled >= 1000 && unit < units.length - 1) {
    scaled /= 1000;
    unit += 1;
  }
  return `${unit === 0 || scaled >= 100 ? Math.round(scaled) : scaled.toFixed(1).replace(/\.0$/, "")} ${units[unit]}`;
}

export function seconds(value) {
  if (value === null || value === undefined) return "–";
  if (value < 9.95) return `${value.toFixed(1)} s`;
  if (value < 60) return `${Math.round(value)} s`;
  const whole = Math.round(value);
  return whole < 3600 ? `${Math.floor(whole / 60)} min ${whole % 60} s` : `${Math.floor(whole / 3600)} h ${Math.round((whole % 3600) / 60)} min`;
}

/** Seconds between two times of the service; null as long as one of them is missing. */
export function between(from, to) {
  return from && to ? Math.max((new Date(to) - new Date(from)) / 1000, 0) : null;
}

export function age(time, now = Date.now()) {
  const passed = (now - new Date(time)) / 1000;
  for (const [unit, length] of UNITS) {
    if (passed >= length) return RELATIVE.format(-Math.floor(passed / length), unit);
  }
  return "just now";
}

/** The ends of a span as short as tells them apart: clock times within a day, else dates. */
export function spanOf(times) {
  const [first, last] = [new Date(times[0]), new Date(times.at(-1))];
  const format = last - first < 86_400_000 ? CLOCK : DAY;
  return times.length > 1 ? [format.format(first), format.format(last)] : [format.format(first), ""];
}

export function moment(time) {
  return MOMENT.format(new Date(time));
}
