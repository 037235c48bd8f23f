"""A folder like those that people have, and what is in one, to be compared."""
import hashlib
import os
import stat

#: Names that are legal and that programs stumble over.
ODD_NAMES = [
    b"-rf", b" leading and trailing ", b"new\nline", b"tab\there", b"quote'\"`$(x)", b"star*?[a]", b"\xff\xfe raw",
    b"caf\xc3\xa9", b"cafe\xcc\x81", b"\xe2\x80\x8fmark", b"\xf0\x9f\x8f\xb4\xf3\xa0\x81\xa7\xf3\xa0\x81\xbf",
    b"...", b".hidden", b"~", b"con.txt", b"a" * 255, b"file.part", b".parley", b"back\\slash", b"\xc2\xad",
]
FILE_MODES = [0o644, 0o644, 0o644, 0o600, 0o755, 0o400, 0o444, 0o664]
FOLDER_MODES = [0o755, 0o755, 0o700, 0o775]
DEEPEST = 40


def make(root, files, total_bytes, random):
    """Fills `root`: most files are small, and a few hold most of the bytes. Contents do not repeat."""
    root = os.fsencode(root)
    folders = [root]
    deep = root
    for level in range(DEEPEST):
        deep = os.path.join(deep, b"level %d" % level)
        os.mkdir(deep)
        folders.append(deep)
    for number in range(max(8, files // 50)):
        folder = os.path.join(random.choice(folders), b"folder %d" % number)
        os.mkdir(folder)
        folders.append(folder)
    odd = os.path.join(root, b"odd")
    os.mkdir(odd)
    for name in ODD_NAMES:
        _write(os.path.join(odd, name), len(name) * 7, random)
    os.mkdir(os.path.join(odd, b"empty"))
    sizes = _sizes(files - len(ODD_NAMES) - 1, total_bytes, random)
    made = [
        _write(os.path.join(random.choice(folders), b"file %d" % number), size, random)
        for number, size in enumerate(sizes)
    ]
    with open(os.path.join(root, b"sparse"), "wb") as sparse:
        sparse.write(b"beginning")
        sparse.seek(64 << 20)
        sparse.write(b"end")
    _link(root, odd, made, random)
    # From the inside out: what is made in a folder changes its time.
    for folder in [odd] + folders[:0:-1]:
        os.chmod(folder, random.choice(FOLDER_MODES))
        _set_time(folder, random)
    _set_time(root, random)


def _sizes(count, total_bytes, random):
    weights = [random.paretovariate(0.9) for _ in range(count)]
    whole = sum(weights)
    sizes = [int(total_bytes * weight / whole) for weight in weights]
    # What folders have many of, and blocks end at.
    for place, size in enumerate([0, 0, 0, 1, 4_095, 4_096, 65_535, 65_536, (1 << 20) - 1, 1 << 20][:count]):
        sizes[place] = size
    return sizes


def _write(path, size, random):
    with open(path, "wb") as file:
        while size > 0:
            file.write(random.randbytes(min(size, 1 << 20)))
            size -= 1 << 20
    os.chmod(path, random.choice(FILE_MODES))
    _set_time(path, random)
    return path


def _link(root, odd, made, random):
    for number in range(100):
        target = random.choice(made)
        folder = random.choice([root, odd])
        os.symlink(os.path.relpath(target, folder), os.path.join(folder, b"link %d" % number))
    os.symlink(b"nowhere", os.path.join(root, b"to nowhere"))
    os.symlink(b"level 0", os.path.join(root, b"to a folder"))


def _set_time(path, random):
    # Between 1971 and 2033, with nanoseconds.
    time = random.randrange(1 << 25, 2_000_000_000) * 10**9 + random.randrange(10**9)
    os.utime(path, ns=(time, time))


def contents(root):
    """What lies below a folder, and the folder itself: path to a description that is equal for equal things."""
    root = os.fsencode(root)
    found = {b"": _describe(root)}
    for folder, folders, files in os.walk(root):
        for name in folders + files:
            path = os.path.join(folder, name)
            found[os.path.relpath(path, root)] = _describe(path)
    return found


def _describe(path):
    status = os.lstat(path)
    kind = stat.S_IFMT(status.st_mode)
    if kind == stat.S_IFLNK:
        return "link", os.readlink(path), status.st_mtime_ns
    description = (oct(status.st_mode), status.st_mtime_ns)
    if kind == stat.S_IFDIR:
        return description
    digest = hashlib.blake2b()
    with open(path, "rb") as file:
        while piece := file.read(1 << 20):
            digest.update(piece)
    # A file with a hole takes less than half of its size.
    return description + (status.st_size, status.st_blocks * 512 < status.st_size // 2, digest.hexdigest())


def differences(expected, found):
    """Sentences about paths, and their number is what differs."""
    for path in sorted(set(expected) | set(found)):
        if path not in found:
            yield f"{path!r} is missing"
        elif path not in expected:
            yield f"{path!r} should not be there"
        elif expected[path] != found[path]:
            yield f"{path!r} is {found[path]} instead of {expected[path]}"
