/// What is wrong with a foreign feed, an option or an output, and where.
///
/// Outside input never traps: everything that a file or a flag can get wrong ends here. `description` is one
/// line.
public enum FeedError: Error, Equatable, Sendable, CustomStringConvertible {
    /// The operating system refused an operation on a file; `errno` as it was.
    case file(path: String, operation: String, errno: Int32)
    /// A zip or gzip container is damaged or of a kind that is not read. `offset` counts bytes of the file.
    case archive(path: String, offset: UInt64, problem: String)
    /// A line does not hold what it must. `line` counts from 1.
    case content(path: String, line: UInt64, found: String, expected: String)
    /// The inputs do not fit together, or one of them is not what it should be as a whole.
    case inputs(String)
    /// An instrument whose tick and lot sizes are not known; the text names the flag that gives them.
    case unknownInstrument(symbol: String, dataset: String)
    /// A flag's text is malformed.
    case option(text: String, problem: String)
    /// The sink could not take a record.
    case output(String)

    public var description: String {
        switch self {
        case .file(let path, let operation, let errno):
            "\(path): cannot \(operation) (errno \(errno))"
        case .archive(let path, let offset, let problem):
            "\(path): at byte \(offset): \(problem)"
        case .content(let path, let line, let found, let expected):
            "\(path): line \(line): found \(found), expected \(expected)"
        case .inputs(let problem):
            problem
        case .unknownInstrument(let symbol, let dataset):
            "tick and lot size of \(symbol) in \(dataset) are not known: "
                + "give --instrument \(symbol):tick=SIZE,lot=SIZE"
        case .option(let text, let problem):
            "--instrument \(text): \(problem)"
        case .output(let problem):
            "cannot write: \(problem)"
        }
    }
}
