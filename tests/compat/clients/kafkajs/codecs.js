// kafkajs brings gzip and takes the other codecs from elsewhere. Those that it names for lz4 and zstd are native code for older
// versions of Node.js; these need no compiler.
'use strict'

const { CompressionCodecs, CompressionTypes } = require('kafkajs')

const lz4 = () => {
  const { compress, decompress } = require('lz4js')
  return {
    compress: async (encoder) => Buffer.from(compress(encoder.buffer)),
    decompress: async (buffer) => Buffer.from(decompress(buffer)),
  }
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
