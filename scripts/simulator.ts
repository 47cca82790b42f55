// A control plane to try things against: `npm run simulator`, or with `-- --version 3.0 --port 8080`.
import '../__tests__/simulator/cli.ts';
