import { writeFileSync } from 'node:fs';
import { parseArgs, styleText } from 'node:util';
import { versions } from '../__tests__/simulator/profiles.ts';
import { type Line, tell } from './demo/story.ts';
import { look, terminalSvg } from './demo/terminal.ts';

const usage = `Runs the action through one story, against a simulated Run:ai and a simulated GitHub, and checks what it claims.

  npm run demo -- [options]

  --version VERSION   of Run:ai: ${versions.join(', ')} (3.0 when left out)
  --svg FILE          also draw what is printed
  --help`;

function readArguments() {
  const { values } = parseArgs({
    options: {
      version: { type: 'string', default: '3.0' },
      svg: { type: 'string' },
      help: { type: 'boolean', default: false },
    },
  });
  const version = versions.find((known) => known === values.version);
  if (!version) throw new Error(`--version ${values.version} is none of ${versions.join(', ')}`);
  return { ...values, version };
}

async function main(): Promise<void> {
  const { version, svg, help } = readArguments();
  if (help) return console.log(usage);
  const lines: Line[] = [];
  const isTrue = await tell({
    version,
    print(line) {
      lines.push(line);
      const { text, indent, style } = look(line);
      console.log(`${line.kind === 'title' ? '\n' : ''}${' '.repeat(indent)}${styleText(style, text)}`);
    },
  });
  if (svg) writeFileSync(svg, terminalSvg('npm run demo', lines));
  if (!isTrue) throw new Error('not all of this is true');
}

main().catch((error: unknown) => {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
});
