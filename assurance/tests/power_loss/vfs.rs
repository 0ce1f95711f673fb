//! A VFS over SQLite's own that asks a [`Disk`] before each step, for the files of some folders.
//!
//! The files are real, and so are their locks and their shared memory: the store stats them and puts
//! its own beside them. It is the default VFS of this process, so that the store is as it is shipped.

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

/// The disks of the folders that are watched.
static DISKS: RwLock<BTreeMap<PathBuf, Arc<Disk>>> = RwLock::new(BTreeMap::new());

/// A folder whose files SQLite keeps on a disk of ours, as long as this lives.
pub(crate) struct Mount(PathBuf);

impl Mount {
    /// `folder` is absolute and without symbolic links, as the store has it.
    pub(crate) fn new(folder: &Path, disk: &Arc<Disk>) -> Self {
        LazyLock::force(&INSTALLED);
        let mut disks = DISKS.write().unwrap();
        let taken = disks.insert(folder.into(), Arc::clone(disk));
        assert!(taken.is_none(), "a folder has one disk");
        Self(folder.into())
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        DISKS.write().unwrap().remove(&self.0);
    }
}

/// The disk of a file and the file's name there, if its folder is watched.
fn disk_of(path: &Path) -> Option<(Arc<Disk>, String)> {
    let disks = DISKS.read().unwrap();
    let disk = Arc::clone(disks.get(path.parent()?)?);
    Some((disk, path.file_name()?.to_str()?.into()))
}

/// SQLite's own VFS, and its way to open a directory.
struct Base {
    vfs: *mut sqlite3_vfs,
    open_directory: OpenDirectory,
}

// SAFETY: SQLite's VFS is a static that any thread may use, and the pointers are never written again.
unsafe impl Send for Base {}
unsafe impl Sync for Base {}

type OpenDirectory = unsafe extern "C" fn(*const c_char, *mut c_int) -> c_int;

static BASE: OnceLock<Base> = OnceLock::new();

/// Installs the VFS as the default, once and for ever.
static INSTALLED: LazyLock<()> = LazyLock::new(|| {
    // SAFETY: the VFS that is found is static and of version 3, as is the unix VFS; ours is leaked and
    // so never moves. It is a copy but for what is ours: the functions that it has of the unix VFS do
    // not look at the VFS that they are given, and those that do get the unix VFS from ours.
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

/// An open file: the header that SQLite knows, ours, and behind it the file of SQLite's own VFS.
#[repr(C)]
struct Shim {
    header: sqlite3_file,
    watched: *mut Watched,
}

/// What is known of an open file.
struct Watched {
    disk: Arc<Disk>,
    inode: Inode,
    /// Whether SQLite's own VFS has this file's name still to sync.
    is_new: Mutex<bool>,
}

/// # Safety
///
/// `file` is one that [`open`] has opened and [`close`] has not closed.
unsafe fn watched<'a>(file: *mut sqlite3_file) -> &'a Watched {
    // SAFETY: `open` has put a leaked box there.
    unsafe { &*(*file.cast::<Shim>()).watched }
}

/// # Safety
///
/// `file` has room for a [`Shim`] and a file of SQLite's own VFS.
unsafe fn real(file: *mut sqlite3_file) -> *mut sqlite3_file {
    // SAFETY: `szOsFile` says that there is so much room, and a `Shim` keeps the alignment.
    unsafe { file.cast::<Shim>().add(1).cast() }
}

/// Calls a method of the file of SQLite's own VFS.
macro_rules! forward {
    ($file:expr, $method:ident $(, $argument:expr)*) => {{
        // SAFETY: the caller's promise: it is an open file of ours, and so is the one behind it.
        unsafe {
            let real = real($file);
            (*(*real).pMethods).$method.unwrap()(real $(, $argument)*)
        }
    }};
}

/// # Safety
///
/// Called by SQLite alone, as its documentation of a VFS says.
unsafe extern "C" fn open(
    _: *mut sqlite3_vfs,
    name: sqlite3_filename,
    file: *mut sqlite3_file,
    flags: c_int,
    out_flags: *mut c_int,
) -> c_int {
    let vfs = base().vfs;
    // SAFETY: a name is null or text that lives as long as the file.
    let path = unsafe { path(name) };
    let Some((disk, file_name)) = path.and_then(disk_of) else {
        // SAFETY: the room is larger than what the unix VFS needs, which sets its own methods.
        return unsafe { (*vfs).xOpen.unwrap()(vfs, name, file, flags, out_flags) };
    };
    let creates = flags & SQLITE_OPEN_CREATE != 0;
    let shim = file.cast::<Shim>();
    // SAFETY: it is the room for our file, which SQLite does not look at before this returns.
    unsafe { (*shim).header.pMethods = ptr::null() };
    if disk.is_dead() {
        return SQLITE_CANTOPEN;
    }
    // SAFETY: as above, for the room behind our part.
    let opened = unsafe { (*vfs).xOpen.unwrap()(vfs, name, real(file), flags, out_flags) };
    if opened != SQLITE_OK {
        return opened;
    }
    let (inode, is_new) = disk.open(&file_name, path, creates);
    let watched = Box::new(Watched {
        disk,
        inode,
        is_new: Mutex::new(is_new),
    });
    // SAFETY: the room is ours.
    unsafe {
        (*shim).watched = Box::into_raw(watched);
        (*shim).header.pMethods = &METHODS;
    }
    SQLITE_OK
}

/// # Safety
///
/// `name` is null, or ends with a zero and lives long enough.
unsafe fn path<'a>(name: *const c_char) -> Option<&'a Path> {
    // SAFETY: the caller's promise.
    let name = (!name.is_null()).then(|| unsafe { CStr::from_ptr(name) })?;
    Some(Path::new(OsStr::from_bytes(name.to_bytes())))
}

/// # Safety
///
/// Called by SQLite alone, as its documentation of a VFS says.
unsafe extern "C" fn delete(_: *mut sqlite3_vfs, name: *const c_char, sync: c_int) -> c_int {
    // SAFETY: a name is text.
    if let Some((disk, file)) = unsafe { path(name) }.and_then(disk_of)
        && disk.delete(&file).is_err()
    {
        return SQLITE_IOERR_DELETE;
    }
    let vfs = base().vfs;
    // SAFETY: the unix VFS gets what SQLite has passed. It syncs the directory, if it is to.
    unsafe { (*vfs).xDelete.unwrap()(vfs, name, sync) }
}

/// SQLite opens a directory for nothing but to sync it, and does so at once.
///
/// # Safety
///
/// Called by SQLite's own VFS alone.
unsafe extern "C" fn open_directory_to_sync(name: *const c_char, fd: *mut c_int) -> c_int {
    // SAFETY: it gets what the unix VFS has passed.
    let opened = unsafe { (base().open_directory)(name, fd) };
    // SAFETY: a name is text.
    if let Some((disk, _)) = unsafe { path(name) }.and_then(disk_of)
        && opened == SQLITE_OK
    {
        disk.sync_names();
    }
    opened
}

/// Version 2 has no `xFetch`: no file is mapped, and what is read goes through here.
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

/// What SQLite's own VFS says where the system fails so.
const fn code(failure: Failure, io: c_int) -> c_int {
    match failure {
        Failure::Io => io,
        Failure::Full => SQLITE_FULL,
        Failure::ReadOnly => SQLITE_READONLY,
    }
}

// What follows is called by SQLite alone, with a file that `open` has opened, on any thread.

unsafe extern "C" fn close(file: *mut sqlite3_file) -> c_int {
    let shim = file.cast::<Shim>();
    let closed = forward!(file, xClose);
    // SAFETY: `open` has leaked this box, and SQLite calls nothing on a file after this.
    unsafe {
        drop(Box::from_raw((*shim).watched));
        (*shim).watched = ptr::null_mut();
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
    let Watched { disk, inode, .. } = unsafe { watched(file) };
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
    let Watched { disk, inode, .. } = unsafe { watched(file) };
    let size = usize::try_from(length).unwrap();
    // SAFETY: SQLite passes that many bytes.
    let slice = unsafe { slice::from_raw_parts(bytes.cast::<u8>(), size) };
    match disk.write(*inode, usize::try_from(offset).unwrap(), slice) {
        Ok(()) => forward!(file, xWrite, bytes, length, offset),
        Err(failure) => code(failure, SQLITE_IOERR_WRITE),
    }
}

unsafe extern "C" fn truncate(file: *mut sqlite3_file, length: sqlite3_int64) -> c_int {
    // SAFETY: the file is open.
    let Watched { disk, inode, .. } = unsafe { watched(file) };
    match disk.truncate(*inode, usize::try_from(length).unwrap()) {
        Ok(()) => forward!(file, xTruncate, length),
        Err(failure) => code(failure, SQLITE_IOERR_TRUNCATE),
    }
}

unsafe extern "C" fn sync(file: *mut sqlite3_file, flags: c_int) -> c_int {
    // SAFETY: the file is open.
    let Watched {
        disk,
        inode,
        is_new,
    } = unsafe { watched(file) };
    match disk.sync(*inode) {
        // What is durable is for the disk to say, and a sync takes long. The first one of a new file
        // syncs its directory.
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
