import type { FlowFormat } from './format.ts'
import { flowToolsDecoder } from './flow-tools/decode.ts'
import { probeHeader } from './flow-tools/header.ts'
import { createFlowTools, flowToolsEncoder } from './flow-tools/write.ts'

/**
 * Files of flow-tools (flow-capture, flow-cat): stream versions 1 and 3, either byte order, packed by zlib or
 * not, with the records of NetFlow v1, v5, v6, v7, v8 or, tagged, 1005.
 */
export const flowTools: FlowFormat = {
  name: 'flow-tools',
  summary: 'flow-tools files of export versions 1, 5, 6, 7, 8.1 to 8.14 and 1005',
  extensions: ['.ft'],
  probe: probeHeader,
  clock: true,
  compressions: ['zlib', 'none'],
  decoder: flowToolsDecoder,
  encoder: flowToolsEncoder,
  create: createFlowTools,
}
