/** How long it takes until flowkit has said something. */
import { interleave, spread, type Row, type Sample } from './measure.ts'
import { FLOWKIT, timed } from './processes.ts'

const ROUNDS = 15

/** Start-up beside that of an empty program of the same Node. */
export async function measureStart(): Promise<Row[]> {
  const tasks = {
    node: () => timed([process.execPath, '-e', '0']),
    version: () => timed([FLOWKIT, '--version']),
    help: () => timed([FLOWKIT, 'help', 'read']),
  }
  for (const task of Object.values(tasks)) task() // into the page cache
  const { node, version, help } = await interleave(ROUNDS, tasks)
  return [row('flowkit --version', version, node), row('flowkit help read', help, node)]
}

function row(work: string, own: Sample, node: Sample): Row {
  return {
    work: `start: ${work}`, flowkit: spread(own, 'ms', 1000), peer: `node -e 0: ${spread(node, 'ms', 1000)}`,
    ratio: `${(own.median / node.median).toFixed(2)} × the time`,
  }
}
