// A virtual file system for SQLite that fails on request: the system's own, with the chosen call answered by
// an error. A write that fails has written half.
#pragma once
#include <sqlite3.h>

#include <cstring>
#include <new>
#include <string_view>

namespace tessera::store {

class FaultVfs {
 public:
  static constexpr const char* kName = "tessera-fault";
  enum class Call { none, open, read, write, truncate, sync };
  struct Plan {
    Call call = Call::none;
    int code = SQLITE_IOERR;
    int skip = 0;          // so many calls succeed first
    bool forever = false;  // and all after it fail, too
  };

  // Registers the file system; the plan is everybody's.
  static void arm(const Plan& new_plan) {
    install();
    plan() = new_plan;
    hits() = 0;
  }
  // Faults since arm().
  static int& hits() {
    static int count = 0;
    return count;
  }

 private:
  struct File {
    sqlite3_file base;
    sqlite3_file* real;  // behind this object
  };
  static Plan& plan() {
    static Plan current;
    return current;
  }
  static sqlite3_vfs* system() {
    static sqlite3_vfs* vfs = ::sqlite3_vfs_find(nullptr);
    return vfs;
  }
  static sqlite3_file* real(sqlite3_file* file) { return reinterpret_cast<File*>(file)->real; }
  static bool fails(Call call) {
    Plan& current = plan();
    if (current.call != call || current.skip-- > 0) return false;
    current.skip = 0;
    if (!current.forever) current.call = Call::none;
    ++hits();
    return true;
  }

  static int open(sqlite3_vfs*, const char* name, sqlite3_file* file, int flags, int* out_flags) {
    auto* opened = reinterpret_cast<File*>(file);
    opened->base.pMethods = nullptr;
    if (fails(Call::open)) return SQLITE_CANTOPEN;
    opened->real = reinterpret_cast<sqlite3_file*>(opened + 1);
    const int code = system()->xOpen(system(), name, opened->real, flags, out_flags);
    if (code == SQLITE_OK) opened->base.pMethods = methods();
    return code;
  }
  static int write(sqlite3_file* file, const void* data, int size, sqlite3_int64 offset) {
    if (fails(Call::write)) {
      real(file)->pMethods->xWrite(real(file), data, size / 2, offset);
      return plan().code;
    }
    return real(file)->pMethods->xWrite(real(file), data, size, offset);
  }
  static int read(sqlite3_file* file, void* data, int size, sqlite3_int64 offset) {
    if (fails(Call::read)) return SQLITE_IOERR_READ;
    return real(file)->pMethods->xRead(real(file), data, size, offset);
  }
  static int truncate(sqlite3_file* file, sqlite3_int64 size) {
    if (fails(Call::truncate)) return SQLITE_IOERR_TRUNCATE;
    return real(file)->pMethods->xTruncate(real(file), size);
  }
  // No machine is switched off here, so a sync that succeeds need not wait for the disk.
  static int sync(sqlite3_file*, int) { return fails(Call::sync) ? SQLITE_IOERR_FSYNC : SQLITE_OK; }

  static const sqlite3_io_methods* methods() {
    static const sqlite3_io_methods table = {
        3,
        [](sqlite3_file* file) { return real(file)->pMethods->xClose(real(file)); },
        read,
        write,
        truncate,
        sync,
        [](sqlite3_file* file, sqlite3_int64* size) {
          return real(file)->pMethods->xFileSize(real(file), size);
        },
        [](sqlite3_file* file, int level) { return real(file)->pMethods->xLock(real(file), level); },
        [](sqlite3_file* file, int level) { return real(file)->pMethods->xUnlock(real(file), level); },
        [](sqlite3_file* file, int* held) {
          return real(file)->pMethods->xCheckReservedLock(real(file), held);
        },
        [](sqlite3_file* file, int what, void* value) {
          return real(file)->pMethods->xFileControl(real(file), what, value);
        },
        [](sqlite3_file* file) { return real(file)->pMethods->xSectorSize(real(file)); },
        [](sqlite3_file* file) { return real(file)->pMethods->xDeviceCharacteristics(real(file)); },
        [](sqlite3_file* file, int page, int size, int extend, void volatile** map) {
          return real(file)->pMethods->xShmMap(real(file), page, size, extend, map);
        },
        [](sqlite3_file* file, int offset, int count, int flags) {
          return real(file)->pMethods->xShmLock(real(file), offset, count, flags);
        },
        [](sqlite3_file* file) { real(file)->pMethods->xShmBarrier(real(file)); },
        [](sqlite3_file* file, int remove) { return real(file)->pMethods->xShmUnmap(real(file), remove); },
        [](sqlite3_file*, sqlite3_int64, int, void** page) {
          *page = nullptr;  // no memory mapping: every read is seen
          return SQLITE_OK;
        },
        [](sqlite3_file*, sqlite3_int64, void*) { return SQLITE_OK; }};
    return &table;
  }

  static void install() {
    static sqlite3_vfs vfs = [] {
      sqlite3_vfs copy = *system();
      copy.zName = kName;
      copy.szOsFile += static_cast<int>(sizeof(File));
      copy.xOpen = open;
      copy.pNext = nullptr;
      return copy;
    }();
    static const int registered = ::sqlite3_vfs_register(&vfs, 0);
    if (registered != SQLITE_OK) throw std::bad_alloc();
  }
};

}  // namespace tessera::store
