<?php
/**
 * Plugin Name: Duyet
 * Description: Sends what the Akismet plugin asks to your own Duyet, and nothing to anybody else.
 * License: GPL-2.0-or-later
 *
 * A must-use plugin: copy it to wp-content/mu-plugins/, and say where Duyet is in wp-config.php:
 *
 *     define( 'DUYET_URL', 'https://moderation.example' );
 *
 * Kept with a comment: duyet_guid, what Duyet calls it; duyet_waits, when Duyet was last asked about
 * one that waits for a person there; duyet_told, when it was told of a decision; duyet_moved, that a
 * person moved it here.
 */

if ( ! defined( 'ABSPATH' ) ) {
	exit;
}

const DUYET_SECONDS_OFF = 300; // that the clocks of both may differ, and a message may be old.
const DUYET_AT_ONCE     = 100; // comments asked about in one run.
const DUYET_PAUSE       = 1200; // seconds between two runs; the Akismet plugin's own pause.

/**
 * Where Duyet is, or nothing where that is not said: then nobody is asked, Akismet least of all.
 */
function duyet_url() {
	$url     = defined( 'DUYET_URL' ) ? (string) DUYET_URL : '';
	$is_fine = preg_match( '#^https?://[^/\s]#i', $url ) && false === stripos( $url, 'akismet.com' );
	return $is_fine ? rtrim( $url, '/' ) : '';
}

function duyet_key() {
	return class_exists( 'Akismet' ) ? (string) Akismet::get_api_key() : '';
}

add_action(
	'admin_notices',
	function () {
		if ( ! current_user_can( 'manage_options' ) ) {
			return;
		}
		$missing = '';
		if ( '' === duyet_url() ) {
			$missing = 'define DUYET_URL in wp-config.php, such as https://moderation.example.';
		} elseif ( ! class_exists( 'Akismet' ) ) {
			$missing = 'install and activate the plugin Akismet Anti-Spam, which does the asking.';
		} elseif ( '' === duyet_key() ) {
			$missing = 'enter the key from Duyet in Settings, Akismet Anti-Spam.';
		}
		if ( '' !== $missing ) {
			echo '<div class="notice notice-error"><p>Duyet: ', esc_html( $missing ), ' Until then no comment is checked.</p></div>';
		}
	}
);

// ------------------------------------------------------------------ nothing to anybody else

/**
 * The plugin's pages have a frame from Akismet, with the key in its address. It stays empty.
 */
function duyet_no_frames() {
	if ( ! headers_sent() ) {
		header( "Content-Security-Policy: frame-src 'self'", false );
	}
}
add_action( 'load-settings_page_akismet-key-config', 'duyet_no_frames' );
add_action( 'load-jetpack_page_akismet-key-config', 'duyet_no_frames' );

/**
 * A visitor's field named "x&user_role" would reach Duyet as a field "user_role" of the site: since
 * 5.0.2 the plugin does not escape names. No form has such names.
 */
function duyet_no_foreign_fields( $comment ) {
	foreach ( array_keys( $_POST ) as $name ) { // phpcs:ignore WordPress.Security.NonceVerification
		if ( preg_match( '/[&=?#]/', (string) $name ) ) {
			unset( $_POST[ $name ] );
		}
	}
	foreach ( array_keys( $_SERVER ) as $name ) {
		if ( 0 === strpos( (string) $name, 'HTTP_' ) && preg_match( '/[&=?#]/', $name ) ) {
			unset( $_SERVER[ $name ] );
		}
	}
	return $comment;
}
add_filter( 'preprocess_comment', 'duyet_no_foreign_fields', 0 );
add_filter( 'rest_pre_insert_comment', 'duyet_no_foreign_fields', 0 );

// ------------------------------------------------------------------ asking

/**
 * Makes a call to Akismet one to Duyet. Older versions of the plugin say their key in the host name;
 * its test of connections calls an IP, and says in a header whom it means.
 */
function duyet_lead_here( $answer, $arguments, $url ) {
	if ( false !== $answer || ! preg_match( '#^https?://([^/?\#]+)(.*)$#is', $url, $parts ) ) {
		return $answer;
	}
	$headers = isset( $arguments['headers'] ) && is_array( $arguments['headers'] ) ? $arguments['headers'] : array();
	$hosts   = array( $parts[1] );
	foreach ( $headers as $name => $value ) {
		if ( 'host' === strtolower( $name ) ) {
			$hosts[] = (string) $value;
			unset( $arguments['headers'][ $name ] );
		}
	}
	$found = preg_grep( '/^([0-9a-f]{12}\.)?rest\.akismet\.com(:\d+)?$/i', $hosts );
	if ( ! $found ) {
		return $answer;
	}
	$path = $parts[2];
	$body = isset( $arguments['body'] ) ? $arguments['body'] : '';
	$body = is_array( $body ) ? http_build_query( $body, '', '&' ) : (string) $body;
	if ( preg_match( '/^([0-9a-f]{12})\./i', reset( $found ), $key ) && ! preg_match( '/(?:^|&)api_key=/', $body ) ) {
		if ( isset( $arguments['method'] ) && 'GET' === $arguments['method'] ) {
			$path = add_query_arg( 'api_key', $key[1], $path );
		} else {
			$body = ltrim( $body . '&api_key=' . $key[1], '&' );
		}
	}
	$is_check = 0 === strpos( $path, '/1.1/comment-check' );
	if ( $is_check ) {
		// Newer versions name the plugin's own address, which takes any message that has the key in it.
		$body  = preg_replace( '/(?:^|&)callback=[^&]*+/', '', $body );
		$body .= '&callback=' . rawurlencode( get_rest_url( null, 'duyet/v1/decisions' ) );
	}
	if ( '' !== $body ) {
		$arguments['body'] = $body;
	}
	$arguments['redirection'] = 0; // no comment goes to where some answer points.
	$answer = '' === duyet_url()
		? new WP_Error( 'duyet', 'DUYET_URL is not defined' )
		: wp_remote_request( duyet_url() . $path, $arguments );
	return $is_check ? duyet_noted( $answer, $body ) : $answer;
}
add_filter( 'pre_http_request', 'duyet_lead_here', 10, 3 );

/**
 * The answer to a check. Where it is none of Duyet's, one that holds the comment: from 5.3.7 on the
 * plugin would publish it.
 */
function duyet_noted( $answer, $body ) {
	// A list where some proxy has doubled them.
	$guid  = implode( '', array_slice( (array) wp_remote_retrieve_header( $answer, 'x-akismet-guid' ), 0, 1 ) );
	$waits = in_array( 'waiting-for-a-moderator', (array) wp_remote_retrieve_header( $answer, 'x-akismet-error' ), true );
	$is_of = '' !== $guid && ! preg_match( '/(?:^|&)akismet_pre_check=/', $body );
	duyet_last_answer( $is_of ? array( $guid, $waits ) : null );
	$is_again = preg_match( '/(?:^|&)recheck_reason=/', $body );
	if ( $is_of && $is_again && preg_match( '/(?:^|&)comment_ID=(\d+)/', $body, $found ) ) {
		duyet_keep( (int) $found[1], $guid, $waits );
	}
	return '' !== $guid ? $answer : array(
		'headers'  => array(
			'x-akismet-guid'  => wp_generate_uuid4(),
			'x-akismet-error' => 'unavailable',
		),
		'body'     => 'held',
		'response' => array(
			'code'    => 200,
			'message' => 'OK',
		),
		'cookies'  => array(),
		'filename' => null,
	);
}

/**
 * What was last said of a comment, told once: its guid, and whether it waits for a person.
 */
function duyet_last_answer( $said = null ) {
	static $last = null;
	$before = $last;
	$last   = $said;
	return $before;
}

function duyet_keep( $comment_id, $guid, $waits ) {
	update_comment_meta( $comment_id, 'duyet_guid', $guid );
	if ( $waits ) {
		// Not among those that the plugin asks about: it stops at the first that has no verdict yet.
		delete_comment_meta( $comment_id, 'akismet_error' );
		update_comment_meta( $comment_id, 'duyet_waits', time() );
		duyet_come_back();
	}
}

/**
 * Takes the answer along to where the comment has a number. The plugin has asked just before.
 */
function duyet_take_along( $comment ) {
	$said = duyet_last_answer();
	if ( $said && is_array( $comment ) ) {
		$comment['comment_meta']['duyet_said'] = $said;
	}
	return $comment;
}
add_filter( 'preprocess_comment', 'duyet_take_along', 2 );
add_filter( 'rest_pre_insert_comment', 'duyet_take_along', 2 );

add_action(
	'wp_insert_comment',
	function ( $comment_id ) {
		$said = get_comment_meta( $comment_id, 'duyet_said', true );
		delete_comment_meta( $comment_id, 'duyet_said' );
		if ( is_array( $said ) ) {
			duyet_keep( (int) $comment_id, $said[0], $said[1] );
		}
	},
	20 // after the Akismet plugin.
);

function duyet_come_back() {
	if ( ! wp_next_scheduled( 'akismet_schedule_cron_recheck' ) ) {
		wp_schedule_single_event( time() + DUYET_PAUSE, 'akismet_schedule_cron_recheck' );
	}
}

/**
 * Asks about what had no verdict, those first that were asked about longest ago.
 */
function duyet_ask_again() {
	global $wpdb;
	if ( '' === duyet_key() || '' === duyet_url() ) {
		return;
	}
	$ids = $wpdb->get_col(
		$wpdb->prepare(
			"SELECT comment_id FROM {$wpdb->commentmeta} WHERE meta_key IN ( 'akismet_error', 'duyet_waits' )
			GROUP BY comment_id ORDER BY MIN( meta_value + 0 ) LIMIT %d",
			DUYET_AT_ONCE
		)
	);
	$is_left = count( $ids ) >= DUYET_AT_ONCE;
	foreach ( array_map( 'intval', $ids ) as $comment_id ) {
		if ( 'unapproved' !== wp_get_comment_status( $comment_id ) ) {
			duyet_forget_waiting( $comment_id );
			continue;
		}
		$said = Akismet::check_db_comment( $comment_id, 'retry' );
		if ( 'true' === $said || 'false' === $said ) {
			duyet_settle( $comment_id, 'true' === $said );
			continue;
		}
		$is_left = true;
		$answer  = duyet_last_answer();
		if ( ! $answer || ! $answer[1] ) {
			break; // Duyet is away, or has no time: the others would get no more of it.
		}
	}
	if ( $is_left ) {
		duyet_come_back();
	}
}
add_action( 'akismet_schedule_cron_recheck', 'duyet_ask_again', 5 ); // before the Akismet plugin.

// ------------------------------------------------------------------ being told

add_action(
	'rest_api_init',
	function () {
		register_rest_route(
			'duyet/v1',
			'/decisions',
			array(
				'methods'             => 'POST',
				'callback'            => 'duyet_decisions',
				'permission_callback' => 'duyet_is_signed',
				'show_in_index'       => false,
			)
		);
	}
);

/**
 * The time and the signature that a message says.
 */
function duyet_signature( $request ) {
	$said = (string) $request->get_header( 'x-duyet-signature' );
	return preg_match( '/^t=(\d{1,12}),v1=([0-9a-f]{64})$/D', $said, $parts ) ? $parts : array( '', '', '' );
}

/**
 * Whether a message was signed with the key, not long ago.
 */
function duyet_is_signed( $request ) {
	$key   = duyet_key();
	$parts = duyet_signature( $request );
	if ( '' === $key || '' === $parts[1] ) {
		return new WP_Error( 'duyet_unsigned', 'There is no signature.', array( 'status' => 401 ) );
	}
	$right = hash_hmac( 'sha256', $parts[1] . '.' . $request->get_body(), $key );
	if ( ! hash_equals( $right, $parts[2] ) ) {
		return new WP_Error( 'duyet_unsigned', 'The signature is wrong.', array( 'status' => 401 ) );
	}
	if ( abs( time() - (int) $parts[1] ) > DUYET_SECONDS_OFF ) {
		return new WP_Error( 'duyet_old', 'The message is too old, or a clock is wrong.', array( 'status' => 401 ) );
	}
	return true;
}

/**
 * Does what a person decided in Duyet, and answers in the words of Akismet's webhook.
 */
function duyet_decisions( $request ) {
	$sent = json_decode( $request->get_body(), true );
	if ( ! is_array( $sent ) || ! isset( $sent['comments'] ) || ! is_array( $sent['comments'] ) ) {
		return new WP_Error( 'duyet_malformed', 'There are no comments in it.', array( 'status' => 400 ) );
	}
	$at   = (int) duyet_signature( $request )[1];
	$told = array();
	foreach ( array_slice( $sent['comments'], 0, DUYET_AT_ONCE ) as $one ) {
		$guid   = is_array( $one ) && isset( $one['guid'] ) && is_string( $one['guid'] ) ? $one['guid'] : '';
		$result = is_array( $one ) && isset( $one['result'] ) ? $one['result'] : '';
		if ( '' === $guid || ! in_array( $result, array( 'true', 'false' ), true ) ) {
			continue;
		}
		$found = get_comments(
			array(
				'status'     => array( 'hold', 'approve', 'spam', 'trash' ),
				'meta_key'   => 'duyet_guid', // phpcs:ignore WordPress.DB.SlowDBQuery
				'meta_value' => $guid, // phpcs:ignore WordPress.DB.SlowDBQuery
				'type'       => '',
				'fields'     => 'ids',
			)
		);
		foreach ( $found as $comment_id ) {
			// One that was overheard and is sent once more, after another that said something else.
			if ( $at >= (int) get_comment_meta( $comment_id, 'duyet_told', true ) ) {
				update_comment_meta( $comment_id, 'duyet_told', $at );
				duyet_settle( (int) $comment_id, 'true' === $result );
			}
		}
		$told[ $guid ] = array( 'status' => $found ? 'success' : 'error' );
	}
	return array( 'comments' => (object) $told );
}

function duyet_forget_waiting( $comment_id ) {
	delete_comment_meta( $comment_id, 'duyet_waits' );
	delete_comment_meta( $comment_id, 'akismet_error' );
}

/**
 * Puts a comment where a verdict or a decision wants it, unless a person here has moved it.
 */
function duyet_settle( $comment_id, $is_spam ) {
	duyet_forget_waiting( $comment_id );
	$status = wp_get_comment_status( $comment_id );
	if ( get_comment_meta( $comment_id, 'duyet_moved', true ) || 'trash' === $status ) {
		return;
	}
	// What the plugin looks at before it takes a change for a moderator's, and reports it.
	add_comment_meta( $comment_id, 'akismet_rechecking', true );
	if ( $is_spam && 'spam' !== $status ) {
		wp_spam_comment( $comment_id );
	} elseif ( ! $is_spam && 'spam' === $status ) {
		wp_unspam_comment( $comment_id );
	}
	if ( ! $is_spam && 'unapproved' === wp_get_comment_status( $comment_id ) ) {
		duyet_publish( get_comment( $comment_id ) );
	}
	delete_comment_meta( $comment_id, 'akismet_rechecking' );
	delete_comment_meta( $comment_id, 'akismet_delayed_moderation_email' );
	update_comment_meta( $comment_id, 'akismet_result', $is_spam ? 'true' : 'false' );
	Akismet::update_comment_history( $comment_id, '', $is_spam ? 'recheck-spam' : 'recheck-ham' );
}

/**
 * Publishes a comment, if the site's own rules let it; if not, tells the site's moderators of it.
 */
function duyet_publish( $comment ) {
	$is_let = check_comment(
		$comment->comment_author,
		$comment->comment_author_email,
		$comment->comment_author_url,
		$comment->comment_content,
		$comment->comment_author_IP,
		$comment->comment_agent,
		$comment->comment_type
	);
	if ( $is_let ) {
		wp_set_comment_status( $comment->comment_ID, 'approve' );
	} elseif ( get_comment_meta( $comment->comment_ID, 'akismet_delayed_moderation_email', true ) ) {
		wp_notify_moderator( $comment->comment_ID );
	}
}

/**
 * Notes that a person moved a comment here: from then on it is theirs.
 */
function duyet_note_move( $new_status, $old_status, $comment ) {
	$is_person = current_user_can( 'moderate_comments' ) || current_user_can( 'edit_comment', $comment->comment_ID );
	$is_ours   = get_comment_meta( $comment->comment_ID, 'akismet_rechecking', true );
	if ( $new_status !== $old_status && 'delete' !== $new_status && $is_person && ! $is_ours ) {
		update_comment_meta( $comment->comment_ID, 'duyet_moved', 1 );
		duyet_forget_waiting( $comment->comment_ID );
	}
}
add_action( 'transition_comment_status', 'duyet_note_move', 5, 3 );
