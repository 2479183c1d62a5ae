import Foundation

/// Files that must be there before anything begins. A pipe is none: most commands read their input more than once.
func checkReadable(_ paths: [String]) throws {
    for path in paths {
        guard access(path, R_OK) == 0 else {
            throw CommandError(.noInput, "\(path): the file cannot be opened: \(String(cString: strerror(errno)))")
        }
        var status = stat()
        guard stat(path, &status) == 0, status.st_mode & S_IFMT == S_IFREG else {
            throw CommandError(.noInput, "\(path): not a regular file")
        }
    }
}

/// Files that are read as a whole.
enum SmallFile {
    /// - Parameters:
    ///   - name: what it is, for the error.
    ///   - byteCountMax: a larger one is refused before it is read.
    static func read(_ path: String, _ name: String, byteCountMax: Int) throws -> Data {
        var status = stat()
        guard stat(path, &status) == 0 else { throw cannotBeRead(path, name, String(cString: strerror(errno))) }
        // A pipe could not be read twice, and a device need not end.
        guard status.st_mode & S_IFMT == S_IFREG else { throw cannotBeRead(path, name, "not a regular file") }
        guard status.st_size <= byteCountMax else {
            throw CommandError(
                .data, "\(path): \(name) has \(status.st_size) bytes; expected at most \(byteCountMax)")
        }
        do { return try Data(contentsOf: URL(fileURLWithPath: path)) } catch {
            throw cannotBeRead(path, name, error.localizedDescription)
        }
    }

    private static func cannotBeRead(_ path: String, _ name: String, _ reason: String) -> CommandError {
        CommandError(.noInput, "\(path): \(name) cannot be read: \(reason)")
    }
}

/// Feeds to play, each once: a file given twice, by whatever path or link, would be played twice.
func checkFeeds(_ paths: [String]) throws {
    try checkReadable(paths)
    var seen: Set<FileIdentity?> = []
    for path in paths where !seen.insert(FileIdentity(path)).inserted {
        throw CommandError(.usage, "\(path) is given twice")
    }
}

/// A file, whatever it is called.
struct FileIdentity: Hashable {
    private let device: dev_t
    private let number: ino_t

    /// nil if there is none at `path`.
    init?(_ path: String) {
        var status = stat()
        guard stat(path, &status) == 0 else { return nil }
        device = status.st_dev
        number = status.st_ino
    }
}

/// Where a command is to write: with an empty name it would write to the root folder, or to none.
func checkOutput(_ path: String) throws {
    guard !path.isEmpty else { throw CommandError(.usage, "--out is empty; expected a path") }
}

/// Takes a folder for this process alone, to its end: two that write the same files into it would mix them.
func lockFolder(_ path: String) throws {
    let descriptor = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    guard descriptor >= 0 else {
        throw CommandError(.noInput, "\(path): the folder cannot be opened: \(String(cString: strerror(errno)))")
    }
    guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK else {
        throw CommandError(.noInput, "\(path): another process writes there")
    }
}

/// Makes a folder and those it is in, where they are not there.
func makeFolder(_ path: String) throws {
    // Foundation says of most causes no more than that the operation could not be completed.
    for end in path.indices.dropFirst() + [path.endIndex] where end == path.endIndex || path[end] == "/" {
        let part = String(path[..<end])
        guard mkdir(part, 0o777) != 0, errno != EEXIST || end == path.endIndex else { continue }
        let reason = String(cString: strerror(errno))
        var status = stat()
        if stat(part, &status) == 0, status.st_mode & S_IFMT == S_IFDIR { continue }
        throw CommandError(.noInput, "\(path): the folder cannot be made: \(reason)")
    }
}
