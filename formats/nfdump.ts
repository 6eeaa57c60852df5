import type { FlowFormat } from './format.ts'
import { nfdumpDecoder } from './nfdump/decode.ts'
import { probeHeader } from './nfdump/header.ts'
import { readIdent } from './nfdump/ident.ts'
import { rotatedName, rotatedTime, unfinishedName } from './nfdump/names.ts'
import { createNfdump } from './nfdump/writer.ts'

/** Files of nfdump: nfcapd, nfpcapd and sfcapd 1.5 to 1.7; written as nfdump 1.7.1 and later read them. */
export const nfdump: FlowFormat = {
  name: 'nfdump',
  summary: 'nfdump files (nfcapd, nfpcapd, sfcapd) of versions 1.5 to 1.7',
  extensions: ['.nfcapd', '.nfdump'],
  probe: probeHeader,
  decoder: nfdumpDecoder,
  create: createNfdump,
  compressions: ['lzo', 'none', 'lz4', 'zstd'],
  fileNames: {
    nameOf: (start, seconds) => rotatedName(start, seconds),
    timeOf: rotatedTime,
    unfinished: unfinishedName,
    identOf: readIdent,
  },
}
