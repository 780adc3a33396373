#include "store/sqlite.h"

#include <fcntl.h>
#include <sqlite3.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <utility>

#include "base/error.h"
#include "base/log.h"

namespace tessera::store {
namespace {

namespace fs = std::filesystem;

constexpr int kLongestValue = 64 << 20;  // bytes; the store's own limits are below it

// The file, made by us so that nobody else can read it, and its name made durable. SQLite takes an empty file
// for a new database.
void create_file(const std::string& path) {
  const fs::path folder = fs::absolute(path).parent_path();
  std::error_code error;
  if (fs::create_directories(folder, error)) fs::permissions(folder, fs::perms::owner_all, error);
  const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (fd < 0) {
    if (errno == EEXIST) return;
    fail(ErrorKind::io, "{}: cannot be created: {}; check the rights of the folder and the free space", path,
         std::strerror(errno));
  }
  ::close(fd);
  const int folder_fd = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (folder_fd < 0) return;
  ::fsync(folder_fd);
  ::close(folder_fd);
}

// SQLite reads the missing end of a last page as zeros. With nothing in the log that would bring it back, a
// file that ends within a page was cut.
void check_length(const std::string& path) {
  std::array<unsigned char, 18> header{};
  std::ifstream file(path, std::ios::binary);
  if (!file.read(reinterpret_cast<char*>(header.data()), header.size())) return;
  if (std::memcmp(header.data(), "SQLite format 3", 16) != 0) return;
  const unsigned field = header[16] * 256U + header[17];
  const unsigned page = field == 1 ? 65536 : field;
  std::error_code error;
  const auto size = fs::file_size(path, error);
  if (error || page < 512 || size % page == 0) return;
  if (const auto log = fs::file_size(path + "-wal", error); !error && log > 0) return;
  fail(ErrorKind::bad_input,
       "{}: expected a database of whole pages of {} bytes, found a damaged file of {} bytes: its end is "
       "missing; it "
       "was left as it is: put a copy back, or try 'sqlite3 FILE .recover'",
       path, page, size);
}

bool is_full(int system_error) {
  return system_error == ENOSPC || system_error == EDQUOT || system_error == EFBIG;
}

}  // namespace

Database::Database(std::string path, const DatabaseOptions& options)
    : path_(std::move(path)),
      patience_(options.patience),
      pages_between_checkpoints_(options.pages_between_checkpoints) {
  if (!fs::exists(path_)) create_file(path_);
  check_length(path_);
  lock_ = std::make_unique<WriteLock>(path_ + "-lock");
  const int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_FULLMUTEX | SQLITE_OPEN_EXRESCODE;
  const int code = ::sqlite3_open_v2(path_.c_str(), &handle_, flags, options.vfs);
  try {
    if (code != SQLITE_OK) raise(code);
    configure();
  } catch (...) {
    ::sqlite3_close_v2(handle_);
    throw;
  }
}

void Database::configure() {
  ::sqlite3_busy_timeout(handle_, static_cast<int>(patience_.count()));
  ::sqlite3_limit(handle_, SQLITE_LIMIT_LENGTH, kLongestValue);
  // The file may be damaged: no statement writes to what belongs to SQLite itself, and pages are looked over.
  ::sqlite3_db_config(handle_, SQLITE_DBCONFIG_DEFENSIVE, 1, nullptr);
  ::sqlite3_db_config(handle_, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, nullptr);
  ::sqlite3_wal_hook(
      handle_,
      [](void* self, sqlite3*, const char*, int pages) {
        static_cast<Database*>(self)->pages_in_log_ = pages;
        return SQLITE_OK;
      },
      this);  // also switches SQLite's own checkpoints off
  execute(
      "PRAGMA cell_size_check = ON; PRAGMA foreign_keys = ON;"
      "PRAGMA synchronous = FULL; PRAGMA secure_delete = ON; PRAGMA temp_store = MEMORY;");
  const auto journal_mode = [this](const char* sql) {
    Statement statement(*this, sql);
    return statement.step() ? statement.text(0) : std::string();
  };
  if (journal_mode("PRAGMA journal_mode") == "wal") return;
  lock_for_writing();
  const HeldLock held(*lock_);
  if (const std::string mode = journal_mode("PRAGMA journal_mode = WAL"); mode != "wal") {
    fail(ErrorKind::io,
         "{}: expected a file that can be written with a write-ahead log, found mode {}; check its "
         "rights",
         path_, mode);
  }
}

Database::~Database() {
  // With an empty log the one file is all there is, to copy or to move.
  try {
    ::sqlite3_busy_timeout(handle_, 0);
    if (lock_->acquire(std::chrono::milliseconds(0))) {
      const HeldLock held(*lock_);
      if (pages_in_log_ > 0) {
        ::sqlite3_wal_checkpoint_v2(handle_, nullptr, SQLITE_CHECKPOINT_TRUNCATE, nullptr, nullptr);
      }
    }
  } catch (const Error& error) {
    log_line(LogLevel::debug, error.what());  // the next one to open it will do it
  }
  ::sqlite3_close_v2(handle_);
}

void Database::lock_for_writing() {
  if (!lock_->acquire(patience_)) raise(SQLITE_BUSY);
}

void Database::execute(const char* sql) {
  if (const int code = ::sqlite3_exec(handle_, sql, nullptr, nullptr, nullptr); code != SQLITE_OK)
    raise(code);
}

std::int64_t Database::integer(std::string_view sql) {
  Statement statement(*this, sql);
  return statement.step() ? statement.integer(0) : 0;
}

std::int64_t Database::last_insert_id() const { return ::sqlite3_last_insert_rowid(handle_); }
std::int64_t Database::changes() const { return ::sqlite3_changes64(handle_); }

void Database::checkpoint() noexcept {
  if (pages_in_log_ < pages_between_checkpoints_) return;
  // What was committed is safe in the log; a checkpoint that fails is tried again after the next commit.
  const int code = ::sqlite3_wal_checkpoint_v2(handle_, nullptr, SQLITE_CHECKPOINT_PASSIVE, nullptr, nullptr);
  if (code == SQLITE_OK) return;
  try {
    log_line(LogLevel::warning, fmt::format("{}: checkpoint: {}", path_, ::sqlite3_errstr(code)));
  } catch (...) {  // a line less in the log
    return;
  }
}

void Database::raise(int code) const {
  const int system_error = handle_ == nullptr ? 0 : ::sqlite3_system_errno(handle_);
  const std::string reason = handle_ == nullptr ? ::sqlite3_errstr(code) : ::sqlite3_errmsg(handle_);
  const int primary = code & 0xff;
  switch (primary) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      fail(ErrorKind::io, "{}: another program has kept it locked for {} s; end that program or try again",
           path_, static_cast<double>(patience_.count()) / 1000);
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      fail(ErrorKind::bad_input,
           "{}: expected a database, found a damaged file ({}); it was left as it is: move it away to begin "
           "anew, "
           "put a copy back, or try 'sqlite3 FILE .recover'",
           path_, reason);
    case SQLITE_FULL:
      fail(ErrorKind::io, "{}: the disk is full; the change was not stored: free some space and try again",
           path_);
    case SQLITE_IOERR:
      if (is_full(system_error)) raise(SQLITE_FULL);
      fail(ErrorKind::io, "{}: cannot be read or written ({}{}{}); the change was not stored: check the disk",
           path_, reason, system_error == 0 ? "" : ": ",
           system_error == 0 ? "" : std::strerror(system_error));
    case SQLITE_READONLY:
    case SQLITE_PERM:
    case SQLITE_CANTOPEN:
    case SQLITE_AUTH:
      fail(ErrorKind::io,
           "{}: cannot be opened for writing ({}); check the rights of the file and its folder", path_,
           reason);
    case SQLITE_TOOBIG:
    case SQLITE_NOMEM:
      fail(ErrorKind::limit, "{}: a value is too big ({})", path_, reason);
    default:
      fail(ErrorKind::internal, "{}: {} (SQLite {}, code {})", path_, reason, ::sqlite3_libversion(), code);
  }
}

Statement::Statement(Database& database, std::string_view sql) : database_(&database) {
  check(::sqlite3_prepare_v2(database.handle_, sql.data(), static_cast<int>(sql.size()), &handle_, nullptr));
}

Statement::~Statement() { ::sqlite3_finalize(handle_); }

void Statement::check(int code) const {
  if (code != SQLITE_OK) database_->raise(code);
}

Statement& Statement::bind_text(int index, std::string_view value) {
  // A null pointer would bind NULL instead of an empty text.
  const char* data = value.data() == nullptr ? "" : value.data();
  check(::sqlite3_bind_text64(handle_, index, data, value.size(), SQLITE_TRANSIENT, SQLITE_UTF8));
  return *this;
}

Statement& Statement::bind_integer(int index, std::int64_t value) {
  check(::sqlite3_bind_int64(handle_, index, value));
  return *this;
}

void Statement::bind_one(int index, const Blob& value) {
  check(::sqlite3_bind_blob64(handle_, index, value.bytes.empty() ? "" : value.bytes.data(),
                              value.bytes.size(), SQLITE_TRANSIENT));
}

void Statement::bind_one(int index, double value) { check(::sqlite3_bind_double(handle_, index, value)); }

bool Statement::step() {
  const int code = ::sqlite3_step(handle_);
  if (code == SQLITE_ROW) return true;
  if (code != SQLITE_DONE) database_->raise(code);
  return false;
}

bool Statement::is_null(int column) const { return ::sqlite3_column_type(handle_, column) == SQLITE_NULL; }
std::int64_t Statement::integer(int column) const { return ::sqlite3_column_int64(handle_, column); }
double Statement::real(int column) const { return ::sqlite3_column_double(handle_, column); }

std::string Statement::text(int column) const {
  const unsigned char* data = ::sqlite3_column_text(handle_, column);
  if (data == nullptr) return {};
  const auto size = static_cast<std::size_t>(::sqlite3_column_bytes(handle_, column));
  return {reinterpret_cast<const char*>(data), size};
}

std::string Statement::blob(int column) const {
  const void* data = ::sqlite3_column_blob(handle_, column);
  if (data == nullptr) return {};
  return {static_cast<const char*>(data), static_cast<std::size_t>(::sqlite3_column_bytes(handle_, column))};
}

std::optional<std::int64_t> Statement::optional_integer(int column) const {
  return is_null(column) ? std::nullopt : std::optional(integer(column));
}

std::optional<double> Statement::optional_real(int column) const {
  return is_null(column) ? std::nullopt : std::optional(real(column));
}

namespace {

WriteLock& acquired(WriteLock& lock, std::chrono::milliseconds patience, const Database& database) {
  if (!lock.acquire(patience)) database.raise(SQLITE_BUSY);
  return lock;
}

}  // namespace

WriteTransaction::WriteTransaction(Database& database)
    : database_(&database), lock_(acquired(*database.lock_, database.patience_, database)) {
  database.execute("BEGIN IMMEDIATE");
}

WriteTransaction::~WriteTransaction() {
  // Some errors roll back by themselves; then this one has nothing to do, and says so.
  if (open_) ::sqlite3_exec(database_->handle_, "ROLLBACK", nullptr, nullptr, nullptr);
}

void WriteTransaction::commit() {
  database_->execute("COMMIT");
  open_ = false;
  database_->checkpoint();
}

ReadTransaction::ReadTransaction(Database& database) : database_(&database) { database.execute("BEGIN"); }

ReadTransaction::~ReadTransaction() {
  try {
    database_->execute("COMMIT");
  } catch (const Error& error) {
    log_line(LogLevel::debug, error.what());  // nothing was changed, so nothing is lost
  }
}

}  // namespace tessera::store
