// SQLite as C++ objects: a database, a statement, a transaction. Every failure is an Error that names the
// file and says what to do.
#pragma once
#include <chrono>
#include <concepts>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "store/write_lock.h"

struct sqlite3;
struct sqlite3_stmt;

namespace tessera::store {

struct DatabaseOptions {
  std::chrono::milliseconds patience{5000};  // for another process that writes
  int pages_between_checkpoints = 1000;      // 4 KiB each; the log grows to about this
  const char* vfs = nullptr;                 // SQLite's virtual file system; the system's own unless named
};

// A connection for one thread at a time: write-ahead log, synchronous = FULL (a commit that returned is on
// the disk), foreign keys. SQLite's own checkpoints are off; this class makes them under its WriteLock.
class Database {
 public:
  // Opens `path`, creating it (readable by its owner alone) and its folders. Error io, or bad_input when the
  // file is damaged or no database; it is left as it was.
  explicit Database(std::string path, const DatabaseOptions& options = {});
  ~Database();
  Database(const Database&) = delete;
  Database& operator=(const Database&) = delete;

  const std::string& path() const { return path_; }
  // Statements without parameters, separated by semicolons.
  void execute(const char* sql);
  std::int64_t integer(std::string_view sql);  // the first column of the first row
  std::int64_t last_insert_id() const;
  std::int64_t changes() const;  // rows of the last statement
  // Copies the write-ahead log into the file as far as readers allow. Only while the WriteLock is held.
  void checkpoint() noexcept;

  // Throws the Error for a result code of SQLite.
  [[noreturn]] void raise(int code) const;

 private:
  friend class Statement;
  friend class WriteTransaction;

  void configure();
  void lock_for_writing();

  std::string path_;
  std::chrono::milliseconds patience_;
  int pages_between_checkpoints_;
  std::unique_ptr<WriteLock> lock_;
  sqlite3* handle_ = nullptr;
  int pages_in_log_ = 0;
};

// Bytes that are no text.
struct Blob {
  std::string_view bytes;
};

// One SQL statement. Values reach it as bound parameters only.
class Statement {
 public:
  Statement(Database& database, std::string_view sql);
  ~Statement();
  Statement(const Statement&) = delete;
  Statement& operator=(const Statement&) = delete;

  // Binds all parameters in their order: integers, double, text, Blob, std::optional of these (empty: NULL).
  template <typename... Values>
  Statement& bind(const Values&... values) {
    int index = 0;
    (bind_one(++index, values), ...);
    return *this;
  }
  Statement& bind_text(int index, std::string_view value);
  Statement& bind_integer(int index, std::int64_t value);

  bool step();  // true: a row is there to be read
  void run() {  // to the end
    while (step()) {
    }
  }

  bool is_null(int column) const;
  std::int64_t integer(int column) const;
  double real(int column) const;
  std::string text(int column) const;
  std::string blob(int column) const;
  std::optional<std::int64_t> optional_integer(int column) const;
  std::optional<double> optional_real(int column) const;

 private:
  template <std::integral Value>
  void bind_one(int index, Value value) {
    bind_integer(index, static_cast<std::int64_t>(value));
  }
  void bind_one(int index, double value);
  void bind_one(int index, std::string_view value) { bind_text(index, value); }
  void bind_one(int index, const Blob& value);
  template <typename Value>
  void bind_one(int index, const std::optional<Value>& value) {
    if (value) bind_one(index, *value);  // an unbound parameter is NULL
  }
  void check(int code) const;

  Database* database_;
  sqlite3_stmt* handle_ = nullptr;
};

// Several changes that are there all or not at all. Holds the WriteLock; without commit() nothing is changed.
class WriteTransaction {
 public:
  explicit WriteTransaction(Database& database);
  ~WriteTransaction();
  WriteTransaction(const WriteTransaction&) = delete;
  WriteTransaction& operator=(const WriteTransaction&) = delete;
  // When it returns, the changes are on the disk. After an Error they are undone; only if the machine fails
  // at that very moment may a restart still find them, whole.
  void commit();

 private:
  Database* database_;
  HeldLock lock_;
  bool open_ = true;
};

// Several reads that see one state of the database.
class ReadTransaction {
 public:
  explicit ReadTransaction(Database& database);
  ~ReadTransaction();
  ReadTransaction(const ReadTransaction&) = delete;
  ReadTransaction& operator=(const ReadTransaction&) = delete;

 private:
  Database* database_;
};

}  // namespace tessera::store
