// The queues that the ring is measured against, driven as RingBench drives it: two pinned threads, fixed items, every word
// written and read in place where the queue allows that.
//
// Usage: ring-peers boost|padded single|batch ITEM_BYTES ITEM_COUNT RING_BYTES; `compare.py` says what is printed.
#include <boost/lockfree/spsc_queue.hpp>
#include <immintrin.h>
#include <pthread.h>
#include <sched.h>
#include <sys/resource.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <new>
#include <thread>
#include <vector>

namespace {

constexpr size_t batch_limit = 64;

template <size_t Bytes>
struct Item {
    uint64_t words[Bytes / 8];

    Item() = default;
    explicit Item(uint64_t number) {
        for (size_t index = 0; index < Bytes / 8; ++index) words[index] = number + index;
    }
    uint64_t sum() const {
        uint64_t total = 0;
        for (uint64_t word : words) total += word;
        return total;
    }
};

void pin(int cpu) {
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(cpu, &set);
    pthread_setaffinity_np(pthread_self(), sizeof set, &set);
}

// A bounded queue of slots with cached indices, each index and each cache on its own line, one slot kept empty, items built
// and read in place: the idea that rigtorp's SPSCQueue describes, written for this benchmark.
template <typename T>
class PaddedQueue {
public:
    explicit PaddedQueue(size_t capacity)
        : slot_count_(capacity + 1),
          memory_(static_cast<T *>(::operator new(sizeof(T) * (slot_count_ + 2 * pad), std::align_val_t(64)))) {
        std::memset(static_cast<void *>(memory_), 0, sizeof(T) * (slot_count_ + 2 * pad));
    }
    ~PaddedQueue() { ::operator delete(memory_, std::align_val_t(64)); }

    template <typename... Arguments>
    bool try_emplace(Arguments &&...arguments) {
        const size_t write = write_.load(std::memory_order_relaxed);
        size_t next = write + 1;
        if (next == slot_count_) next = 0;
        if (next == read_cache_) {
            read_cache_ = read_.load(std::memory_order_acquire);
            if (next == read_cache_) return false;
        }
        new (&memory_[write + pad]) T(std::forward<Arguments>(arguments)...);
        write_.store(next, std::memory_order_release);
        return true;
    }

    T *front() {
        const size_t read = read_.load(std::memory_order_relaxed);
        if (read == write_cache_) {
            write_cache_ = write_.load(std::memory_order_acquire);
            if (read == write_cache_) return nullptr;
        }
        return &memory_[read + pad];
    }

    void pop() {
        size_t next = read_.load(std::memory_order_relaxed) + 1;
        if (next == slot_count_) next = 0;
        read_.store(next, std::memory_order_release);
    }

private:
    static constexpr size_t pad = (64 + sizeof(T) - 1) / sizeof(T);
    const size_t slot_count_;
    T *const memory_;
    alignas(64) std::atomic<size_t> write_{0};
    alignas(64) size_t read_cache_{0};
    alignas(64) std::atomic<size_t> read_{0};
    alignas(64) size_t write_cache_{0};
};

template <typename T>
struct Padded {
    PaddedQueue<T> queue;
    explicit Padded(size_t capacity) : queue(capacity) {}

    void produce(uint64_t count, bool) {
        for (uint64_t number = 0; number < count; ++number) {
            while (!queue.try_emplace(number)) _mm_pause();
        }
    }
    // It has no batch read; reading singly is its best.
    uint64_t consume(uint64_t count, bool) {
        uint64_t checksum = 0;
        for (uint64_t done = 0; done < count; ++done) {
            T *item;
            while ((item = queue.front()) == nullptr) _mm_pause();
            checksum += item->sum();
            queue.pop();
        }
        return checksum;
    }
};

template <typename T>
struct Boost {
    boost::lockfree::spsc_queue<T> queue;
    explicit Boost(size_t capacity) : queue(capacity) {
        // Touches its pages, as the others do when they are made.
        const T item(0);
        while (queue.push(item)) {
        }
        while (queue.pop()) {
        }
    }

    void produce(uint64_t count, bool batch) {
        if (!batch) {
            for (uint64_t number = 0; number < count; ++number) {
                const T item(number);
                while (!queue.push(item)) _mm_pause();
            }
            return;
        }
        std::vector<T> items(batch_limit);
        for (uint64_t number = 0; number < count;) {
            const size_t size = std::min<uint64_t>(batch_limit, count - number);
            for (size_t index = 0; index < size; ++index) items[index] = T(number + index);
            for (size_t pushed = 0; pushed < size;) {
                const size_t taken = queue.push(items.data() + pushed, size - pushed);
                if (taken == 0) _mm_pause();
                pushed += taken;
            }
            number += size;
        }
    }

    uint64_t consume(uint64_t count, bool batch) {
        uint64_t checksum = 0;
        auto add = [&](const T &item) { checksum += item.sum(); };
        for (uint64_t done = 0; done < count;) {
            const size_t taken = batch ? queue.consume_all(add) : queue.consume_one(add);
            if (taken == 0) _mm_pause();
            done += taken;
        }
        return checksum;
    }
};

long involuntary_switches() {
    rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return usage.ru_nivcsw;
}

template <typename Queue>
int run(size_t item_bytes, uint64_t count, size_t ring_bytes, bool batch) {
    Queue queue(ring_bytes / item_bytes);
    uint64_t checksum = 0;
    std::chrono::steady_clock::time_point finished;
    std::atomic<bool> ready{false};
    std::thread reader([&] {
        pin(1);
        ready.store(true, std::memory_order_release);
        checksum = queue.consume(count, batch);
        finished = std::chrono::steady_clock::now();
    });
    pin(0);
    while (!ready.load(std::memory_order_acquire)) _mm_pause();
    const long switches_before = involuntary_switches();
    const auto started = std::chrono::steady_clock::now();
    queue.produce(count, batch);
    reader.join();
    const long switches = involuntary_switches() - switches_before;
    const std::chrono::duration<double, std::nano> taken = finished - started;
    std::printf("%f %llu %ld\n", taken.count() / double(count), (unsigned long long)checksum, switches);
    return 0;
}

template <size_t Bytes>
int choose(const char *name, uint64_t count, size_t ring_bytes, bool batch) {
    if (!std::strcmp(name, "boost")) return run<Boost<Item<Bytes>>>(Bytes, count, ring_bytes, batch);
    if (!std::strcmp(name, "padded")) return run<Padded<Item<Bytes>>>(Bytes, count, ring_bytes, batch);
    return 2;
}

}  // namespace

int main(int argc, char **argv) {
    if (argc != 6) {
        std::fprintf(stderr, "usage: ring-peers boost|padded single|batch ITEM_BYTES ITEM_COUNT RING_BYTES\n");
        return 2;
    }
    const bool batch = !std::strcmp(argv[2], "batch");
    const uint64_t count = std::strtoull(argv[4], nullptr, 10);
    const size_t ring_bytes = std::strtoull(argv[5], nullptr, 10);
    switch (std::atoi(argv[3])) {
        case 8: return choose<8>(argv[1], count, ring_bytes, batch);
        case 80: return choose<80>(argv[1], count, ring_bytes, batch);
        case 368: return choose<368>(argv[1], count, ring_bytes, batch);
        default: std::fprintf(stderr, "ITEM_BYTES is 8, 80 or 368.\n"); return 2;
    }
}
