// kafkajs brings gzip and takes the other codecs from elsewhere. The packages that it names for lz4 and zstd want a compiler; these
// do not.
'use strict'

const { CompressionCodecs, CompressionTypes } = require('kafkajs')

// (lz4js would make blocks that depend on each other, which Kafka refuses.)
const lz4 = () => {
  const { compressFrame, decompressFrame } = require('lz4-napi')
  return { compress: (encoder) => compressFrame(encoder.buffer), decompress: (buffer) => decompressFrame(buffer) }
}

const zstd = () => {
  const { ZstdCodec } = require('zstd-codec')
  const ready = new Promise((resolve) => ZstdCodec.run((module) => resolve(new module.Simple())))
  return {
    compress: async (encoder) => Buffer.from((await ready).compress(encoder.buffer)),
    decompress: async (buffer) => Buffer.from((await ready).decompress(buffer)),
  }
}

function useCodecs() {
  CompressionCodecs[CompressionTypes.Snappy] = require('kafkajs-snappy')
  CompressionCodecs[CompressionTypes.LZ4] = lz4
  CompressionCodecs[CompressionTypes.ZSTD] = zstd
}

module.exports = { useCodecs }
