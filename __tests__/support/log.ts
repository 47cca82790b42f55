/** A line of a step's standard output: a workflow command, or plain text. */
export interface LogLine {
  command?: string;
  text: string;
}

/** Reads workflow commands as a runner does: `::name key=value::data` at the beginning of a line. */
export function readLog(stdout: string): LogLine[] {
  const lines = stdout.split(/\r?\n/);
  if (lines.at(-1) === '') lines.pop();
  return lines.map((line) => {
    const [, command, data = ''] = /^\s*::([a-z-]+)(?: [^:]*)?::(.*)$/s.exec(line) ?? [];
    return command ? { command, text: unescapeData(data) } : { text: line };
  });
}

function unescapeData(data: string): string {
  return data.replaceAll('%0D', '\r').replaceAll('%0A', '\n').replaceAll('%25', '%');
}

/** The log as GitHub shows it: commands carried out or marked, and every masked value replaced from there on. */
export function asShown(lines: LogLine[]): string[] {
  const masks: string[] = [];
  return lines.flatMap(({ command, text }) => {
    if (command === 'add-mask') {
      // A runner masks a value of several lines as a whole, and each of its lines.
      masks.push(text, ...text.split(/\r?\n/));
      masks.sort((a, b) => b.length - a.length);
      return [];
    }
    const shown = masks.filter(Boolean).reduce((rest, mask) => rest.replaceAll(mask, '***'), text);
    return command === undefined ? [shown] : [`${titles[command] ?? `${command}: `}${shown}`];
  });
}

const titles: Record<string, string> = {
  error: 'Error: ',
  warning: 'Warning: ',
  notice: 'Notice: ',
  debug: '##[debug]',
};
