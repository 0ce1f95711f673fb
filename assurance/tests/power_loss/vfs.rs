//! A VFS on top of SQLite's own. For the files of some folders, it consults a [`Disk`] before each
//! operation.
//!
//! The files, their locks and their shared memory are real, because the store also stats the files
//! and creates its own files next to them. This is the default VFS of the process, so that the
//! store runs unchanged.

#![expect(
    unsafe_code,
    reason = "SQLite calls a VFS by C functions with pointers"
)]

use std::{
    collections::BTreeMap,
    ffi::{CStr, OsStr, c_char, c_int, c_void},
    mem,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
    ptr, slice,
    sync::{Arc, LazyLock, Mutex, OnceLock, RwLock},
};

use rusqlite::ffi::{
    self, SQLITE_CANTOPEN, SQLITE_FULL, SQLITE_IOERR_DELETE, SQLITE_IOERR_FSYNC, SQLITE_IOERR_READ,
    SQLITE_IOERR_TRUNCATE, SQLITE_IOERR_WRITE, SQLITE_OK, SQLITE_OPEN_CREATE, SQLITE_READONLY,
    sqlite3_file, sqlite3_filename, sqlite3_int64, sqlite3_io_methods, sqlite3_syscall_ptr,
    sqlite3_vfs,
};

use crate::disk::{Disk, Failure, Inode};

/// The simulated disks, by the folder that they are mounted at.
static DISKS: RwLock<BTreeMap<PathBuf, Arc<Disk>>> = RwLock::new(BTreeMap::new());

/// A simulated disk, mounted at a folder until this value is dropped.
pub(crate) struct Mount(PathBuf);

impl Mount {
    /// Mounts a disk at `folder`, which must be an absolute path without symbolic links, because
    /// the store passes such paths to SQLite.
    pub(crate) fn new(folder: &Path, disk: &Arc<Disk>) -> Self {
        LazyLock::force(&INSTALLED);
        let mut disks = DISKS.write().unwrap();
        let taken = disks.insert(folder.into(), Arc::clone(disk));
        assert!(taken.is_none(), "a disk is already mounted there");
        Self(folder.into())
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        DISKS.write().unwrap().remove(&self.0);
    }
}

/// Returns the disk that a file is on and the file's name there, or `None` if no disk is mounted at
/// its folder.
fn disk_of(path: &Path) -> Option<(Arc<Disk>, String)> {
    let disks = DISKS.read().unwrap();
    let disk = Arc::clone(disks.get(path.parent()?)?);
    Some((disk, path.file_name()?.to_str()?.into()))
}

/// SQLite's own VFS, and its function that opens a directory.
struct Base {
    vfs: *mut sqlite3_vfs,
    open_directory: OpenDirectory,
}

// SAFETY: SQLite's VFS is a static that any thread may use, and the pointers never change.
unsafe impl Send for Base {}
unsafe impl Sync for Base {}

type OpenDirectory = unsafe extern "C" fn(*const c_char, *mut c_int) -> c_int;

static BASE: OnceLock<Base> = OnceLock::new();

/// Installs the VFS as the default of the process.
static INSTALLED: LazyLock<()> = LazyLock::new(|| {
    // SAFETY: the unix VFS is static, and of version 3 as the assertion checks. Our VFS is leaked,
    // so it never moves. It is a copy of the unix VFS with some functions replaced. The copied
    // functions do not use the VFS that they are given, and ours pass the unix VFS to those that
    // do.
    unsafe {
        let vfs = ffi::sqlite3_vfs_find(c"unix".as_ptr());
        let base = *vfs;
        assert!(base.iVersion >= 3);
        let original = base.xGetSystemCall.unwrap()(vfs, c"openDirectory".as_ptr());
        let open_directory = mem::transmute::<sqlite3_syscall_ptr, Option<OpenDirectory>>(original);
        let installed = BASE.set(Base {
            vfs,
            open_directory: open_directory.unwrap(),
        });
        assert!(installed.is_ok());
        let hook: OpenDirectory = open_directory_to_sync;
        let hook = mem::transmute::<Option<OpenDirectory>, sqlite3_syscall_ptr>(Some(hook));
        let hooked = base.xSetSystemCall.unwrap()(vfs, c"openDirectory".as_ptr(), hook);
        assert_eq!(hooked, SQLITE_OK);
        let ours = Box::leak(Box::new(sqlite3_vfs {
            szOsFile: base.szOsFile + c_int::try_from(size_of::<Shim>()).unwrap(),
            zName: c"keywright-disk".as_ptr(),
            pNext: ptr::null_mut(),
            xOpen: Some(open),
            xDelete: Some(delete),
            ..base
        }));
        assert_eq!(ffi::sqlite3_vfs_register(ours, 1), SQLITE_OK);
    }
});

fn base() -> &'static Base {
    BASE.get().unwrap()
}

/// An open file: the header that SQLite uses, our part, and after it the file of SQLite's own VFS.
#[repr(C)]
struct Shim {
    header: sqlite3_file,
    tracked: *mut TrackedFile,
}

/// The state of an open file on a simulated disk.
struct TrackedFile {
    disk: Arc<Disk>,
    inode: Inode,
    /// Whether SQLite's own VFS still has to sync the directory of this new file.
    is_new: Mutex<bool>,
}

/// # Safety
///
/// `file` must have been opened by [`open`] and not yet closed by [`close`].
unsafe fn tracked<'a>(file: *mut sqlite3_file) -> &'a TrackedFile {
    // SAFETY: `open` has stored the pointer of a leaked box there.
    unsafe { &*(*file.cast::<Shim>()).tracked }
}

/// # Safety
///
/// `file` must have room for a [`Shim`] and a file of SQLite's own VFS.
unsafe fn real(file: *mut sqlite3_file) -> *mut sqlite3_file {
    // SAFETY: `szOsFile` requests this much room, and a `Shim` preserves the alignment.
    unsafe { file.cast::<Shim>().add(1).cast() }
}

/// Calls a method on the file of SQLite's own VFS.
macro_rules! forward {
    ($file:expr, $method:ident $(, $argument:expr)*) => {{
        // SAFETY: the caller passes one of our open files, so the file of SQLite's own VFS is also
        // open.
        unsafe {
            let real = real($file);
            (*(*real).pMethods).$method.unwrap()(real $(, $argument)*)
        }
    }};
}

/// # Safety
///
/// Must be called only by SQLite, as its documentation of a VFS requires.
unsafe extern "C" fn open(
    _: *mut sqlite3_vfs,
    name: sqlite3_filename,
    file: *mut sqlite3_file,
    flags: c_int,
    out_flags: *mut c_int,
) -> c_int {
    let vfs = base().vfs;
    // SAFETY: a name is null or a C string that lives as long as the file.
    let path = unsafe { path(name) };
    let Some((disk, file_name)) = path.and_then(disk_of) else {
        // SAFETY: there is more room than the unix VFS needs, and it sets its own methods.
        return unsafe { (*vfs).xOpen.unwrap()(vfs, name, file, flags, out_flags) };
    };
    let creates = flags & SQLITE_OPEN_CREATE != 0;
    let shim = file.cast::<Shim>();
    // SAFETY: `file` is room for our file, and SQLite does not read it before this function
    // returns.
    unsafe { (*shim).header.pMethods = ptr::null() };
    if disk.is_off() {
        return SQLITE_CANTOPEN;
    }
    // SAFETY: the same holds for the room after our part.
    let opened = unsafe { (*vfs).xOpen.unwrap()(vfs, name, real(file), flags, out_flags) };
    if opened != SQLITE_OK {
        return opened;
    }
    let (inode, is_new) = disk.open(&file_name, path, creates);
    let tracked = Box::new(TrackedFile {
        disk,
        inode,
        is_new: Mutex::new(is_new),
    });
    // SAFETY: `file` is room for our file.
    unsafe {
        (*shim).tracked = Box::into_raw(tracked);
        (*shim).header.pMethods = &METHODS;
    }
    SQLITE_OK
}

/// # Safety
///
/// `name` must be null, or a C string that lives for `'a`.
unsafe fn path<'a>(name: *const c_char) -> Option<&'a Path> {
    // SAFETY: required of the caller.
    let name = (!name.is_null()).then(|| unsafe { CStr::from_ptr(name) })?;
    Some(Path::new(OsStr::from_bytes(name.to_bytes())))
}

/// # Safety
///
/// Must be called only by SQLite, as its documentation of a VFS requires.
unsafe extern "C" fn delete(_: *mut sqlite3_vfs, name: *const c_char, sync: c_int) -> c_int {
    // SAFETY: a name is a C string.
    if let Some((disk, file)) = unsafe { path(name) }.and_then(disk_of)
        && disk.delete(&file).is_err()
    {
        return SQLITE_IOERR_DELETE;
    }
    let vfs = base().vfs;
    // SAFETY: the unix VFS receives the arguments from SQLite. It syncs the directory if `sync` is
    // set.
    unsafe { (*vfs).xDelete.unwrap()(vfs, name, sync) }
}

/// Syncs the directory of a simulated disk. SQLite opens a directory only to sync it immediately.
///
/// # Safety
///
/// Must be called only by SQLite's own VFS.
unsafe extern "C" fn open_directory_to_sync(name: *const c_char, fd: *mut c_int) -> c_int {
    // SAFETY: the original function receives the arguments from the unix VFS.
    let opened = unsafe { (base().open_directory)(name, fd) };
    // SAFETY: a name is a C string.
    if let Some((disk, _)) = unsafe { path(name) }.and_then(disk_of)
        && opened == SQLITE_OK
    {
        disk.sync_names();
    }
    opened
}

/// The methods of a file. Version 2 has no `xFetch`, so SQLite maps no file and calls `xRead` for
/// all reads.
static METHODS: sqlite3_io_methods = sqlite3_io_methods {
    iVersion: 2,
    xClose: Some(close),
    xRead: Some(read),
    xWrite: Some(write),
    xTruncate: Some(truncate),
    xSync: Some(sync),
    xFileSize: Some(file_size),
    xLock: Some(lock),
    xUnlock: Some(unlock),
    xCheckReservedLock: Some(check_reserved_lock),
    xFileControl: Some(file_control),
    xSectorSize: Some(sector_size),
    xDeviceCharacteristics: Some(device_characteristics),
    xShmMap: Some(shm_map),
    xShmLock: Some(shm_lock),
    xShmBarrier: Some(shm_barrier),
    xShmUnmap: Some(shm_unmap),
    xFetch: None,
    xUnfetch: None,
};

/// The error code that SQLite's own VFS returns for such a failure.
const fn code(failure: Failure, io: c_int) -> c_int {
    match failure {
        Failure::Io => io,
        Failure::Full => SQLITE_FULL,
        Failure::ReadOnly => SQLITE_READONLY,
    }
}

// SQLite calls the following functions on any thread, with a file that `open` has opened.

unsafe extern "C" fn close(file: *mut sqlite3_file) -> c_int {
    let shim = file.cast::<Shim>();
    let closed = forward!(file, xClose);
    // SAFETY: `open` leaked this box, and SQLite does not use a file after it is closed.
    unsafe {
        drop(Box::from_raw((*shim).tracked));
        (*shim).tracked = ptr::null_mut();
    }
    closed
}

unsafe extern "C" fn read(
    file: *mut sqlite3_file,
    buffer: *mut c_void,
    length: c_int,
    offset: sqlite3_int64,
) -> c_int {
    // SAFETY: the file is open.
    let TrackedFile { disk, inode, .. } = unsafe { tracked(file) };
    match disk.read(*inode) {
        Ok(()) => forward!(file, xRead, buffer, length, offset),
        Err(failure) => code(failure, SQLITE_IOERR_READ),
    }
}

unsafe extern "C" fn write(
    file: *mut sqlite3_file,
    bytes: *const c_void,
    length: c_int,
    offset: sqlite3_int64,
) -> c_int {
    // SAFETY: the file is open.
    let TrackedFile { disk, inode, .. } = unsafe { tracked(file) };
    let size = usize::try_from(length).unwrap();
    // SAFETY: SQLite passes this many bytes.
    let slice = unsafe { slice::from_raw_parts(bytes.cast::<u8>(), size) };
    match disk.write(*inode, usize::try_from(offset).unwrap(), slice) {
        Ok(()) => forward!(file, xWrite, bytes, length, offset),
        Err(failure) => code(failure, SQLITE_IOERR_WRITE),
    }
}

unsafe extern "C" fn truncate(file: *mut sqlite3_file, length: sqlite3_int64) -> c_int {
    // SAFETY: the file is open.
    let TrackedFile { disk, inode, .. } = unsafe { tracked(file) };
    match disk.truncate(*inode, usize::try_from(length).unwrap()) {
        Ok(()) => forward!(file, xTruncate, length),
        Err(failure) => code(failure, SQLITE_IOERR_TRUNCATE),
    }
}

unsafe extern "C" fn sync(file: *mut sqlite3_file, flags: c_int) -> c_int {
    // SAFETY: the file is open.
    let TrackedFile {
        disk,
        inode,
        is_new,
    } = unsafe { tracked(file) };
    match disk.sync(*inode) {
        // The simulated disk determines what is durable, so skip the real sync, which is slow. But
        // the first sync of a new file must run, because it also syncs the directory.
        Ok(()) if mem::take(&mut *is_new.lock().unwrap()) => forward!(file, xSync, flags),
        Ok(()) => SQLITE_OK,
        Err(failure) => code(failure, SQLITE_IOERR_FSYNC),
    }
}

unsafe extern "C" fn file_size(file: *mut sqlite3_file, size: *mut sqlite3_int64) -> c_int {
    forward!(file, xFileSize, size)
}

unsafe extern "C" fn lock(file: *mut sqlite3_file, level: c_int) -> c_int {
    forward!(file, xLock, level)
}

unsafe extern "C" fn unlock(file: *mut sqlite3_file, level: c_int) -> c_int {
    forward!(file, xUnlock, level)
}

unsafe extern "C" fn check_reserved_lock(file: *mut sqlite3_file, held: *mut c_int) -> c_int {
    forward!(file, xCheckReservedLock, held)
}

unsafe extern "C" fn file_control(
    file: *mut sqlite3_file,
    operation: c_int,
    argument: *mut c_void,
) -> c_int {
    forward!(file, xFileControl, operation, argument)
}

unsafe extern "C" fn sector_size(file: *mut sqlite3_file) -> c_int {
    forward!(file, xSectorSize)
}

unsafe extern "C" fn device_characteristics(file: *mut sqlite3_file) -> c_int {
    forward!(file, xDeviceCharacteristics)
}

unsafe extern "C" fn shm_map(
    file: *mut sqlite3_file,
    page: c_int,
    size: c_int,
    extend: c_int,
    mapped: *mut *mut c_void,
) -> c_int {
    forward!(file, xShmMap, page, size, extend, mapped)
}

unsafe extern "C" fn shm_lock(
    file: *mut sqlite3_file,
    offset: c_int,
    count: c_int,
    flags: c_int,
) -> c_int {
    forward!(file, xShmLock, offset, count, flags)
}

unsafe extern "C" fn shm_barrier(file: *mut sqlite3_file) {
    forward!(file, xShmBarrier);
}

unsafe extern "C" fn shm_unmap(file: *mut sqlite3_file, delete: c_int) -> c_int {
    forward!(file, xShmUnmap, delete)
}
