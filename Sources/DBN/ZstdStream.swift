import CZstd

/// One libzstd decompression stream over any number of frames, skippable ones included.
struct ZstdDecompressor: ~Copyable {
    private var context: OpaquePointer?
    /// Inside a frame, which therefore must go on.
    private(set) var isInsideFrame = false
    /// libzstd stopped because the output was full and may hold more.
    private var mayHoldOutput = false

    /// A stream that costs nothing until it is opened.
    init() {}

    /// `windowLogMax` bounds libzstd's own memory to about 2 to that power; frames that want more are
    /// refused.
    mutating func open(windowLogMax: Int) throws(DBNError) {
        precondition(context == nil, "A stream is opened once.")
        context = unsafe ZSTD_createDCtx()
        guard let context else { throw DBNError(.zstd("no memory for a context")) }
        let code = unsafe ZSTD_DCtx_setParameter(context, ZSTD_d_windowLogMax, Int32(clamping: windowLogMax))
        guard ZSTD_isError(code) == 0 else {
            throw DBNError(.zstd("window of 2^\(windowLogMax) bytes: \(zstdMessage(code))"))
        }
    }

    deinit { unsafe ZSTD_freeDCtx(context) }

    /// Decompresses what fits into the room of `output`. Returns whether anything was read or written; false
    /// means that more input is needed.
    mutating func step(from input: inout ByteBuffer, into output: inout ByteBuffer) throws(DBNError) -> Bool {
        guard input.count > 0 || mayHoldOutput else { return false }
        precondition(context != nil, "A stream is opened before it is used.")
        let free = output.free()
        precondition(free.count > 0, "Decompression needs room.")
        var out = unsafe ZSTD_outBuffer(dst: free.baseAddress, size: free.count, pos: 0)
        var source = unsafe ZSTD_inBuffer(src: input.base + input.start, size: input.count, pos: 0)
        let code = unsafe ZSTD_decompressStream(context, &out, &source)
        let read = source.pos
        let written = out.pos
        input.consume(read)
        output.commit(written)
        guard ZSTD_isError(code) == 0 else {
            throw DBNError(.zstd(zstdMessage(code)), byteOffset: input.offset)
        }
        // Zero means that a frame has ended and all of it was handed out.
        isInsideFrame = code != 0
        mayHoldOutput = isInsideFrame && written == free.count
        return read > 0 || written > 0
    }
}

/// One libzstd compression stream that writes a single frame with a checksum, as Databento's encoder does.
struct ZstdCompressor: ~Copyable {
    private var context: OpaquePointer?

    /// A stream that costs nothing until it is opened.
    init() {}

    mutating func open(level: Int) throws(DBNError) {
        precondition(context == nil, "A stream is opened once.")
        guard level >= Int(ZSTD_minCLevel()), level <= Int(ZSTD_maxCLevel()) else {
            throw DBNError(.zstd("level \(level); expected \(ZSTD_minCLevel()) to \(ZSTD_maxCLevel())"))
        }
        context = unsafe ZSTD_createCCtx()
        guard let context else { throw DBNError(.zstd("no memory for a context")) }
        for (parameter, value) in [(ZSTD_c_compressionLevel, Int32(level)), (ZSTD_c_checksumFlag, 1)] {
            let code = unsafe ZSTD_CCtx_setParameter(context, parameter, value)
            guard ZSTD_isError(code) == 0 else { throw DBNError(.zstd(zstdMessage(code))) }
        }
    }

    deinit { unsafe ZSTD_freeCCtx(context) }

    /// Compresses all of `input`; with `isLast` it also ends the frame.
    mutating func compress(
        _ input: inout ByteBuffer, into output: inout ByteBuffer, isLast: Bool
    ) throws(DBNError) {
        while true {
            output.reserve(ZSTD_CStreamOutSize())
            let free = output.free()
            var out = unsafe ZSTD_outBuffer(dst: free.baseAddress, size: free.count, pos: 0)
            var source = unsafe ZSTD_inBuffer(src: input.base + input.start, size: input.count, pos: 0)
            let code = unsafe ZSTD_compressStream2(
                context, &out, &source, isLast ? ZSTD_e_end : ZSTD_e_continue)
            input.consume(source.pos)
            output.commit(out.pos)
            guard ZSTD_isError(code) == 0 else { throw DBNError(.zstd(zstdMessage(code))) }
            // With `ZSTD_e_end` the code counts the bytes still to be written.
            if isLast ? code == 0 : input.count == 0 { return }
        }
    }
}

private func zstdMessage(_ code: Int) -> String {
    unsafe String(cString: ZSTD_getErrorName(code))
}
