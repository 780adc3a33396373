// The one file that includes mpi.h. Built without MPI it can only say so.
#include <sched.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <limits>

#include "base/error.h"
#include "base/thread_pool.h"
#include "train/distributed/process_group.h"

#ifdef TESSERA_WITH_MPI
#include <mpi.h>
#endif

namespace tessera::train {
namespace {

// What launchers tell their processes: Open MPI, MPICH and Intel MPI, PMIx (Slurm).
bool started_by_a_launcher() {
  constexpr std::array kVariables{"OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "MPI_LOCALNRANKS", "PMIX_RANK"};
  return std::ranges::any_of(kVariables, [](const char* name) { return std::getenv(name) != nullptr; });
}

#ifdef TESSERA_WITH_MPI

void check(int result, const char* what) {
  if (result == MPI_SUCCESS) return;
  std::array<char, MPI_MAX_ERROR_STRING> text{};
  int length = 0;
  MPI_Error_string(result, text.data(), &length);
  fail(ErrorKind::io, "MPI: {}: {}", what, std::string(text.data(), static_cast<std::size_t>(length)));
}

// MPI counts in int.
int count_of(std::size_t bytes) {
  if (bytes > std::size_t{std::numeric_limits<int>::max()}) {
    fail(ErrorKind::unsupported, "MPI: expected less than 2 GiB in one message, found {} bytes", bytes);
  }
  return static_cast<int>(bytes);
}

class MpiTransfer final : public Transfer {
 public:
  MPI_Request* request() { return &request_; }
  bool finished() override {
    int done = 0;
    check(MPI_Test(&request_, &done, MPI_STATUS_IGNORE), "the connection to another rank is lost");
    return done != 0;
  }

 private:
  MPI_Request request_ = MPI_REQUEST_NULL;
};

class MpiProcessGroup final : public ProcessGroup {
 public:
  MpiProcessGroup() {
    int provided = 0;
    check(MPI_Init_thread(nullptr, nullptr, MPI_THREAD_SERIALIZED, &provided), "cannot start");
    MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank_);
    MPI_Comm_size(MPI_COMM_WORLD, &size_);
    share_cores();
  }
  ~MpiProcessGroup() override {
    if (!abandoned_) MPI_Finalize();
  }

  int rank() const override { return rank_; }
  int size() const override { return size_; }
  int threads() const override { return threads_; }
  int machines() const override { return machines_; }

  std::unique_ptr<Transfer> start_all_to_all(Bytes out, MutableBytes in) override {
    auto transfer = std::make_unique<MpiTransfer>();
    const int part = count_of(out.size()) / size_;
    check(MPI_Ialltoall(out.data(), part, MPI_BYTE, in.data(), part, MPI_BYTE, MPI_COMM_WORLD,
                        transfer->request()),
          "all-to-all");
    return transfer;
  }
  std::unique_ptr<Transfer> start_all_gather(Bytes own, MutableBytes in) override {
    auto transfer = std::make_unique<MpiTransfer>();
    const int part = count_of(own.size());
    check(MPI_Iallgather(own.data(), part, MPI_BYTE, in.data(), part, MPI_BYTE, MPI_COMM_WORLD,
                         transfer->request()),
          "all-gather");
    return transfer;
  }
  std::unique_ptr<Transfer> start_broadcast(MutableBytes bytes, int from) override {
    auto transfer = std::make_unique<MpiTransfer>();
    check(
        MPI_Ibcast(bytes.data(), count_of(bytes.size()), MPI_BYTE, from, MPI_COMM_WORLD, transfer->request()),
        "broadcast");
    return transfer;
  }
  std::unique_ptr<Transfer> start_send(Bytes bytes, int to) override {
    auto transfer = std::make_unique<MpiTransfer>();
    check(
        MPI_Isend(bytes.data(), count_of(bytes.size()), MPI_BYTE, to, 0, MPI_COMM_WORLD, transfer->request()),
        "send");
    return transfer;
  }
  std::unique_ptr<Transfer> start_receive(MutableBytes bytes, int from) override {
    auto transfer = std::make_unique<MpiTransfer>();
    check(MPI_Irecv(bytes.data(), count_of(bytes.size()), MPI_BYTE, from, 0, MPI_COMM_WORLD,
                    transfer->request()),
          "receive");
    return transfer;
  }
  void abandon(int exit_code) override {
    abandoned_ = true;
    MPI_Abort(MPI_COMM_WORLD, exit_code);
  }

 private:
  // The launcher may have bound each rank to cores of its own, or all to the same: what the ranks of this
  // machine may use together is dealt out evenly, and nobody takes more than its own mask allows.
  void share_cores() {
    MPI_Comm machine = MPI_COMM_NULL;
    check(MPI_Comm_split_type(MPI_COMM_WORLD, MPI_COMM_TYPE_SHARED, rank_, MPI_INFO_NULL, &machine),
          "cannot find the ranks of this machine");
    int local_size = 1;
    int local_rank = 0;
    MPI_Comm_size(machine, &local_size);
    MPI_Comm_rank(machine, &local_rank);
    cpu_set_t own;
    CPU_ZERO(&own);
    ::sched_getaffinity(0, sizeof(own), &own);
    std::vector<cpu_set_t> all(static_cast<std::size_t>(local_size));
    check(MPI_Allgather(&own, sizeof(own), MPI_BYTE, all.data(), sizeof(own), MPI_BYTE, machine),
          "cannot share the cores");
    cpu_set_t together = own;
    for (const cpu_set_t& other : all) CPU_OR(&together, &together, &other);
    const int bound_to_all = CPU_EQUAL(&together, &own) != 0 ? usable_cpus() : CPU_COUNT(&together);
    threads_ = std::max(1, std::min(usable_cpus(), bound_to_all / local_size));
    const int leads = local_rank == 0 ? 1 : 0;
    check(MPI_Allreduce(&leads, &machines_, 1, MPI_INT, MPI_SUM, MPI_COMM_WORLD), "cannot count machines");
    MPI_Comm_free(&machine);
  }

  int rank_ = 0;
  int size_ = 1;
  int threads_ = 1;
  int machines_ = 1;
  bool abandoned_ = false;
};

#endif

}  // namespace

std::string mpi_version() {
#ifdef TESSERA_WITH_MPI
  std::array<char, MPI_MAX_LIBRARY_VERSION_STRING> text{};
  int length = 0;
  MPI_Get_library_version(text.data(), &length);
  const std::string version(text.data(), static_cast<std::size_t>(length));
  return version.substr(0, version.find(','));
#else
  return "";
#endif
}

std::unique_ptr<ProcessGroup> join_process_group() {
  if (!started_by_a_launcher()) return world_of_one();
#ifdef TESSERA_WITH_MPI
  return std::make_unique<MpiProcessGroup>();
#else
  const char* size = std::getenv("OMPI_COMM_WORLD_SIZE");
  if (size == nullptr) size = std::getenv("PMI_SIZE");
  if (size != nullptr && std::atoi(size) <= 1) return world_of_one();
  fail(ErrorKind::unsupported,
       "expected a build with MPI, for mpirun started this program{}: install libopenmpi-dev and build again",
       size == nullptr ? std::string() : fmt::format(" {} times", size));
#endif
}

}  // namespace tessera::train
