import { decompressBzip2 } from '../../core/compress/bzip2.ts'
import { decompressLz4Block } from '../../core/compress/lz4.ts'
import { decompressLzo } from '../../core/compress/lzo.ts'
import { decompressZstd } from '../../core/compress/zstd.ts'
import { BLOCK_LIMIT, COMPRESSION } from './header.ts'

const CODECS: Readonly<Record<number, (source: Uint8Array, target: Uint8Array) => number>> = {
  [COMPRESSION.lzo]: decompressLzo, [COMPRESSION.bzip2]: decompressBzip2,
  [COMPRESSION.lz4]: decompressLz4Block, [COMPRESSION.zstd]: decompressZstd,
}

/** Unpacks blocks into a place that it uses again. */
export class Unpacker {
  private target = new Uint8Array(0)

  /**
   * Unpack one block.
   *
   * @param compression a value of COMPRESSION, not 0
   * @returns the bytes of the block, valid until the next call
   * @throws FlowkitError ERR_MALFORMED if it is damaged or unpacks to more than BLOCK_LIMIT
   */
  unpack(compression: number, source: Uint8Array): Uint8Array {
    if (this.target.length === 0) this.target = new Uint8Array(BLOCK_LIMIT)
    return this.target.subarray(0, CODECS[compression](source, this.target))
  }
}
