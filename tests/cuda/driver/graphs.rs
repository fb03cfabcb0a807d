//! Captures, and the graphs that they become.

use super::*;

#[test]
fn graphs_are_replayed_on_other_data() {
    on_stand_in("driver::graphs::graphs_are_replayed_on_other_data", &[], || {
        let context = context();
        let stream = context.new_stream().unwrap();
        let mut gather = Gather::new(&stream);
        let (mut rows, mut found) = (pinned(&context, 5), pinned(&context, 3));
        let mut before = 0;
        let graph = capture(&stream, || {
            stream.memcpy_htod(&rows, &mut gather.rows).unwrap();
            gather.launch(&stream);
            stream.memcpy_dtoh(&gather.first_rows, &mut found).unwrap();
        });
        stream.synchronize().unwrap();
        assert_eq!(found.as_slice().unwrap(), [FRESH; 3], "a capture runs nothing");
        for offset in [0, 100] {
            for (row, value) in rows.as_mut_slice().unwrap().iter_mut().zip(Gather::ROWS) {
                *row = value + offset;
            }
            before = log().len();
            graph.launch().unwrap();
            stream.synchronize().unwrap();
            assert_eq!(found.as_slice().unwrap(), Gather::FIRST_ROWS.map(|row| row + offset));
        }
        let kernel = "  kernel gather_first_rows 3x1x1";
        let nodes = ["graph 3", "  copy_to_device 40", kernel, "  copy_to_host 24"];
        assert_eq!(log()[before..], [&["synchronize_stream"][..], &nodes].concat());
    });
}

/// A graph has the arguments of its capture, whatever becomes of the variables.
#[test]
fn stale_arguments_stay_stale() {
    on_stand_in("driver::graphs::stale_arguments_stay_stale", &[], || {
        let stream = context().new_stream().unwrap();
        let mut gather = Gather::new(&stream);
        let mut row_bytes = 8;
        let graph =
            capture(&stream, || gather.try_launch(&stream, &row_bytes, GRID, 128, 0).unwrap());
        row_bytes = 16;
        let rows = stream.clone_htod(&[0; 5]).unwrap();
        let old = std::mem::replace(&mut gather.rows, rows);
        graph.launch().unwrap();
        assert_eq!((gather.found(&stream), row_bytes), (Gather::FIRST_ROWS.to_vec(), 16));
        // So it has the memory, which may be gone.
        drop(old);
        graph.launch().unwrap();
        assert_eq!(code(stream.synchronize()), CUDA_ERROR_ILLEGAL_ADDRESS);
    });
}

#[test]
fn captures_end_by_what_they_forbid() {
    on_stand_in("driver::graphs::captures_end_by_what_they_forbid", &[], || {
        let context = context();
        let stream = context.new_stream().unwrap();
        let mut gather = Gather::new(&stream);
        let event = stream.record_event(None).unwrap();
        stream.synchronize().unwrap();
        let forbidden: [(&str, &dyn Fn() -> CUresult); 9] = [
            ("wait", &|| code(stream.synchronize())),
            ("wait for all", &|| code(context.synchronize())),
            ("query", &|| code(event.try_is_complete())),
            // SAFETY: what is allocated is not used.
            ("allocate", &|| code(unsafe { result::malloc_sync(8) })),
            // SAFETY: as above.
            ("allocate pinned", &|| code(unsafe { result::malloc_host(8, 0) })),
            ("allocate in order", &|| code(try_room::<u8>(&stream, 8))),
            ("read", &|| code(stream.clone_dtoh(&gather.rows))),
            // SAFETY: of memory that is not freed meanwhile.
            ("write", &|| code(unsafe { write(&gather.ends, &stream) })),
            ("load", &|| code(context.load_module(Ptx::from_src(HEAD)))),
        ];
        for (name, call) in forbidden {
            stream.begin_capture(CU_STREAM_CAPTURE_MODE_THREAD_LOCAL).unwrap();
            assert_eq!(call(), CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED, "{name}");
            let end = code(stream.end_capture(CUgraphInstantiate_flags(0)));
            assert_eq!(end, CUDA_ERROR_STREAM_CAPTURE_INVALIDATED, "{name}");
        }
        gather.launch(&stream);
        assert_eq!(gather.found(&stream), Gather::FIRST_ROWS);
    });
}

/// # Safety
/// The memory must live until the stream has written it.
unsafe fn write(to: &CudaSlice<u32>, stream: &Arc<CudaStream>) -> Result<(), DriverError> {
    // SAFETY: the caller's.
    unsafe { result::memcpy_htod_async(address(to, stream), &[0u32], stream.cu_stream()) }
}

/// Other threads may do so, unless the capture forbids it to all.
#[test]
fn captures_are_of_their_thread() {
    on_stand_in("driver::graphs::captures_are_of_their_thread", &[], || {
        let context = context();
        let stream = context.new_stream().unwrap();
        let elsewhere = |call: &(dyn Fn() -> CUresult + Sync)| {
            thread::scope(|scope| scope.spawn(call).join().unwrap())
        };
        let allocate = || {
            context.bind_to_thread().unwrap();
            // SAFETY: what is allocated is not used.
            code(unsafe { result::malloc_sync(8) })
        };
        let end = || code(stream.end_capture(CUgraphInstantiate_flags(0)));
        assert_eq!(end(), CUDA_ERROR_ILLEGAL_STATE);

        stream.begin_capture(CU_STREAM_CAPTURE_MODE_THREAD_LOCAL).unwrap();
        assert_eq!(elsewhere(&allocate), CUDA_SUCCESS);
        assert_eq!(elsewhere(&end), CUDA_ERROR_STREAM_CAPTURE_WRONG_THREAD);
        assert_eq!(end(), CUDA_SUCCESS);

        stream.begin_capture(CU_STREAM_CAPTURE_MODE_GLOBAL).unwrap();
        assert_eq!(elsewhere(&allocate), CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED);
        assert_eq!(end(), CUDA_ERROR_STREAM_CAPTURE_INVALIDATED);

        stream.begin_capture(CU_STREAM_CAPTURE_MODE_RELAXED).unwrap();
        assert_eq!(allocate(), CUDA_SUCCESS);
        assert_eq!(elsewhere(&end), CUDA_SUCCESS);
    });
}

#[test]
fn events_do_not_cross_a_captures_bounds() {
    on_stand_in("driver::graphs::events_do_not_cross_a_captures_bounds", &[], || {
        let context = context();
        let [stream, other] = [(); 2].map(|()| context.new_stream().unwrap());
        let before = stream.record_event(None).unwrap();
        stream.begin_capture(CU_STREAM_CAPTURE_MODE_THREAD_LOCAL).unwrap();
        let within = stream.record_event(None).unwrap();
        stream.wait(&within).unwrap();
        assert_eq!(code(within.synchronize()), CUDA_ERROR_CAPTURED_EVENT);
        assert_eq!(code(within.try_is_complete()), CUDA_ERROR_CAPTURED_EVENT);
        assert_eq!(code(other.wait(&within)), CUDA_ERROR_CAPTURED_EVENT);
        assert_eq!(code(stream.wait(&before)), CUDA_ERROR_STREAM_CAPTURE_ISOLATION);
        let end = code(stream.end_capture(CUgraphInstantiate_flags(0)));
        assert_eq!(end, CUDA_ERROR_STREAM_CAPTURE_INVALIDATED);
        assert_eq!(code(within.synchronize()), CUDA_ERROR_CAPTURED_EVENT);
        within.record(&stream).unwrap();
        within.synchronize().unwrap();
    });
}
