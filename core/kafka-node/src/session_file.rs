//! The ZooKeeper session of this broker, kept beside `meta.properties`, so that a start after a crash closes it at once
//! instead of waiting until it expires.
//!
//! Only the process that holds the log directory's lock reads the file, so the session in it is that of an earlier life of this
//! broker, never of a live one. Whoever knows the password owns the session: the file is for the owner's eyes alone.

use std::path::{Path, PathBuf};

use base::{Disk, Slow};
use zk_client::SessionKey;

/// Its name; the JVM passes over files in a log directory that it does not know.
const NAME: &str = ".jackdaw.session";

/// Far more than the file can hold.
const LENGTH_MAX: u64 = 1024;

/// Where the file is: in the first log directory.
pub(crate) fn path(log_dirs: &[String]) -> Option<PathBuf> {
    log_dirs.first().map(|dir| Path::new(dir).join(NAME))
}

/// The session of an earlier life, if one is noted and readable.
pub(crate) fn read(disk: &dyn Disk, path: &Path) -> Option<SessionKey> {
    let content = disk.read(path, LENGTH_MAX).ok()?;
    SessionKey::parse(std::str::from_utf8(&content).ok()?.trim_end())
}

/// Notes the session.
pub(crate) fn write(disk: &dyn Disk, path: &Path, key: &SessionKey, slow: &Slow) -> std::io::Result<()> {
    let text = key.to_text() + "\n";
    disk.replace_secret(path, text.as_bytes(), slow)
}

#[cfg(test)]
mod tests {
    use base::MemDisk;
    use bytes::Bytes;

    use super::*;

    #[test]
    fn what_is_noted_is_read() {
        let disk = MemDisk::new();
        disk.create_dir_all(Path::new("/kafka")).unwrap();
        let path = path(&["/kafka".to_owned()]).unwrap();
        assert_eq!(read(&disk, &path), None);
        let key = SessionKey { id: 0x1a2_0000_0000_0003, password: Bytes::from_static(&[0, 255, 16, 7]) };
        write(&disk, &path, &key, &Slow::allowed()).unwrap();
        assert_eq!(read(&disk, &path), Some(key));
        disk.replace(&path, b"nonsense", &Slow::allowed()).unwrap();
        assert_eq!(read(&disk, &path), None);
    }
}
