//! Stream capture and graphs.

use super::*;

#[test]
fn graphs_replay_on_new_data() {
    on_stand_in("driver::graphs::graphs_replay_on_new_data", &[], || {
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
        assert_eq!(found.as_slice().unwrap(), [FRESH; 3], "a capture must not run anything");
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

/// A graph keeps the arguments of its capture, even if the variables change.
#[test]
fn graphs_keep_captured_arguments() {
    on_stand_in("driver::graphs::graphs_keep_captured_arguments", &[], || {
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
        // The graph keeps addresses as well, and the memory may have been freed.
        drop(old);
        graph.launch().unwrap();
        assert_eq!(code(stream.synchronize()), CUDA_ERROR_ILLEGAL_ADDRESS);
    });
}

#[test]
fn forbidden_calls_invalidate_a_capture() {
    on_stand_in("driver::graphs::forbidden_calls_invalidate_a_capture", &[], || {
        let context = context();
        let stream = context.new_stream().unwrap();
        let mut gather = Gather::new(&stream);
        let event = stream.record_event(None).unwrap();
        stream.synchronize().unwrap();
        let forbidden: [(&str, &dyn Fn() -> CUresult); 9] = [
            ("wait", &|| code(stream.synchronize())),
            ("wait for all", &|| code(context.synchronize())),
            ("query", &|| code(event.try_is_complete())),
            // SAFETY: the allocation is not used.
            ("allocate", &|| code(unsafe { result::malloc_sync(8) })),
            // SAFETY: as above.
            ("allocate pinned", &|| code(unsafe { result::malloc_host(8, 0) })),
            ("allocate in order", &|| code(try_room::<u8>(&stream, 8))),
            ("read", &|| code(stream.clone_dtoh(&gather.rows))),
            // SAFETY: the memory is not freed in the meantime.
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
/// The memory must outlive the stream's write.
unsafe fn write(to: &CudaSlice<u32>, stream: &Arc<CudaStream>) -> Result<(), DriverError> {
    // SAFETY: guaranteed by the caller.
    unsafe { result::memcpy_htod_async(address(to, stream), &[0u32], stream.cu_stream()) }
}

/// Other threads may allocate during a capture, unless its mode forbids it for all threads.
#[test]
fn captures_belong_to_their_thread() {
    on_stand_in("driver::graphs::captures_belong_to_their_thread", &[], || {
        let context = context();
        let stream = context.new_stream().unwrap();
        let elsewhere = |call: &(dyn Fn() -> CUresult + Sync)| {
            thread::scope(|scope| scope.spawn(call).join().unwrap())
        };
        let allocate = || {
            context.bind_to_thread().unwrap();
            // SAFETY: the allocation is not used.
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
fn events_do_not_cross_capture_boundaries() {
    on_stand_in("driver::graphs::events_do_not_cross_capture_boundaries", &[], || {
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
